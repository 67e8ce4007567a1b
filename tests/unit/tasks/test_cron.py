from __future__ import annotations

from itertools import islice

import pytest

from headrace.kit.times import format_time, parse_time
from headrace.tasks import cron


def after(expression: str, timezone: str, start: str, most: int = 3) -> list[str]:
    return [format_time(time)[:16] for time in islice(cron.firings(expression, timezone, parse_time(start)), most)]


def test_firings_come_after_the_start_and_not_at_it() -> None:
    assert after("*/15 * * * *", "UTC", "2026-11-29T12:00:00Z") == [
        "2026-11-29T12:15", "2026-11-29T12:30", "2026-11-29T12:45",
    ]  # fmt: skip


def test_a_time_that_the_clock_leaves_out_in_spring_is_made_up_for_and_one_that_comes_twice_fires_once() -> None:
    spring = after("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z")
    assert spring[0] == "2026-03-29T01:00", "02:30 does not exist on this day: it fires when the clock jumps, at 03:00"
    assert spring[1] == "2026-03-30T00:30"
    autumn = after("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2)
    assert autumn == ["2026-10-25T00:30", "2026-10-26T01:30"]


@pytest.mark.parametrize(
    ("expression", "timezone", "field"),
    [
        ("* * * *", "UTC", "cron"),
        ("61 * * * *", "UTC", "cron"),
        ("* * * * * *", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("", "UTC", "cron"),
        ("* * * * *", "Mars/Olympus", "timezone"),
        ("* * * * *", "../../etc/passwd", "timezone"),
        ("* * * * *", "", "timezone"),
        ("* * * * *", "\0", "timezone"),
    ],
)
def test_what_is_wrong_is_said_by_field(expression: str, timezone: str, field: str) -> None:
    found = cron.check(expression, timezone)
    assert found is not None
    assert found[0] == field


def test_an_expression_that_never_fires_is_refused() -> None:
    assert cron.check("0 0 30 2 *", "UTC") is not None
