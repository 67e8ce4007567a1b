"""What a filter and a page say of themselves, for every store alike."""

from __future__ import annotations

import pytest

from headrace.model.query import EVERYTHING, EventFilter, Order, Position, Search


def test_only_the_time_is_not_selective() -> None:
    assert not EVERYTHING.is_selective
    assert not EventFilter(since=1, within=EventFilter(until=2)).is_selective
    assert EventFilter(within=EventFilter(within=EventFilter(min_level=1))).is_selective


def test_which_copy_may_answer_is_not_selective() -> None:
    assert not EventFilter(read_after=7).is_selective


def test_the_times_of_a_filter_are_those_that_all_around_it_allow() -> None:
    assert EVERYTHING.times() == (None, None)
    assert EventFilter(since=3, within=EventFilter(until=9, within=EventFilter(since=5, until=10))).times() == (5, 9)


@pytest.mark.parametrize(
    ("order", "times"), [("desc", (2, 6)), ("asc", (5, 9))], ids=["newest first", "oldest first"]
)
def test_a_page_lies_beyond_the_page_before_it(order: Order, times: tuple[int, int]) -> None:
    wanted = EventFilter(since=2, until=9)
    assert Search(1, wanted, order).times() == (2, 9)
    assert Search(1, wanted, order, after=Position(5, 1)).times() == times
