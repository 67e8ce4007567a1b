"""Windows cover the stored days once, in their order."""

from __future__ import annotations

from itertools import pairwise

import pytest

from headrace.adapters.postgres.windows import Day, skipped, windows
from headrace.kit.times import DAY

NEWEST_FIRST = [Day(day * DAY, (day + 1) * DAY, 10, True) for day in (99, 98, 97, 90, 5, 4, 3, 2, 1)]


@pytest.mark.parametrize("days", [NEWEST_FIRST, NEWEST_FIRST[::-1]], ids=["desc", "asc"])
@pytest.mark.parametrize("rows", [1, 10, 11, 30, 1_000])
def test_every_day_is_in_one_window(days: list[Day], rows: int) -> None:
    found = list(windows(days, rows))
    for day in days:
        assert sum(since <= day.since and day.until <= until for since, until in found) == 1
    assert found == sorted(found, reverse=days is NEWEST_FIRST)
    assert all(one[0] >= other[1] or one[1] <= other[0] for one, other in pairwise(found))


def test_the_first_holds_as_many_as_asked_for_and_few_reach_the_end() -> None:
    assert next(windows(NEWEST_FIRST, 25)) == (97 * DAY, 100 * DAY)
    assert next(windows(NEWEST_FIRST, 10)) == (99 * DAY, 100 * DAY)
    assert len(list(windows([Day(0, 1, 1, True)] * 100_000, 1))) <= 6


def test_no_day_is_no_window() -> None:
    assert list(windows([], 100)) == []


def test_an_offset_passes_over_whole_days_only() -> None:
    part = Day(99 * DAY + 1, 100 * DAY, 10, False)
    assert skipped(NEWEST_FIRST, 25) == (NEWEST_FIRST[2:], 5)
    assert skipped(NEWEST_FIRST, 10) == (NEWEST_FIRST[1:], 0)
    assert skipped(NEWEST_FIRST, 90) == ([], 0)
    assert skipped([part, *NEWEST_FIRST[1:]], 25) == ([part, *NEWEST_FIRST[1:]], 25)
