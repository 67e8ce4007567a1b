"""What the pages of the administration make of a form and of figures, before a feature is asked and after."""

from __future__ import annotations

import pytest

from headrace.kit.times import DAY, parse_time
from headrace.model.account import UsageLine
from headrace.model.principal import Permission
from headrace.web.console.pages.admin_forms import Form
from headrace.web.console.pages.admin_keys import _expiry, _grants
from headrace.web.console.pages.admin_usage import DAYS, Row, in_rows

NOW = parse_time("2026-05-17T12:00:00Z")
READ, WRITE, MANAGE = Permission


def typed(*fields: tuple[str, str]) -> Form:
    return Form(fields, sent=True)


def test_boxes_and_lines_are_grants_of_a_key_and_those_of_one_bucket_come_together() -> None:
    form = typed(("grant", "billing:read"), ("grant", "billing:write"), ("more", "web manage\n\n  billing read "))
    assert _grants(form) == [("billing", frozenset({READ, WRITE})), ("web", frozenset({MANAGE}))]
    assert form.ok


@pytest.mark.parametrize("more", ["billing", "billing everything", "billing read and write"])
def test_a_line_without_a_permission_is_told(more: str) -> None:
    form = typed(("more", more))
    _grants(form)
    assert form.errors == {"more": "After billing there must be read, write or manage."}


def test_a_key_without_any_grant_is_told() -> None:
    form = typed(("name", "x"))
    assert _grants(form) == []
    assert list(form.errors) == ["grants"]


@pytest.mark.parametrize(
    ("chosen", "day", "at"),
    [
        ("7", "", NOW + 7 * DAY),
        ("never", "", None),
        ("a century", "", NOW + 90 * DAY),
        ("day", "2026-05-17", parse_time("2026-05-18T00:00:00Z")),
    ],
)
def test_a_key_expires_as_chosen(chosen: str, day: str, at: int | None) -> None:
    form = typed(("expires", chosen), ("day", day))
    assert _expiry(form, NOW) == at
    assert form.ok


@pytest.mark.parametrize("day", ["", "soon", "2026-05-16", "2026-02-30"])
def test_a_day_that_is_none_or_over_is_told(day: str) -> None:
    form = typed(("expires", "day"), ("day", day))
    _expiry(form, NOW)
    assert list(form.errors) == ["day"]


def test_usage_is_a_row_for_each_with_its_days_and_the_largest_first() -> None:
    today = NOW // DAY
    lines = [
        UsageLine(today, "1", "billing", 2, 200, {"bytes_per_day": 400}),
        UsageLine(today - DAYS + 1, "1", "billing", 1, 100, {"bytes_per_day": 400}),
        UsageLine(today - DAYS, "1", "billing", 9, 900, {"bytes_per_day": 400}),
        UsageLine(today - 1, "2", None, 1, 301),
    ]
    second, first = in_rows(lines, today)
    assert (first.id, first.bytes, first.events, first.events_today, first.today) == ("1", 300, 3, 2, 200)
    assert (first.share, first.bars) == (50, [(0, 7), (116, 14)])
    assert (second.name, second.share, second.today) == (None, None, 0)


def test_a_quota_is_never_more_than_used_up() -> None:
    assert Row("1", "billing", per_day=10, per_second=None, days=[0] * (DAYS - 1) + [1_000]).share == 100
