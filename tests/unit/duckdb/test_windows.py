"""Windows cover a time once, whatever the shape of what is stored."""

from __future__ import annotations

import pytest

from headrace.adapters.duckdb.windows import windows
from headrace.model.bucket import BucketStats
from headrace.model.query import Order

STATS = BucketStats(1_000_000, 1_000, 9_000_000)


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("bounds", [(None, None), (5_000, None), (None, 70_000), (5_000, 70_000), (None, 10)])
def test_each_begins_where_the_one_before_ended(order: Order, bounds: tuple[int | None, int | None]) -> None:
    found = list(windows(STATS, *bounds, order, 100))
    if order == "desc":
        found.reverse()
    assert (found[0][0], found[-1][1]) == bounds
    assert [window[1] for window in found[:-1]] == [window[0] for window in found[1:]]


def test_the_first_is_small_and_few_reach_the_end() -> None:
    found = list(windows(STATS, None, None, "desc", 100))
    first = found[0][0]
    assert first is not None
    assert 800 <= 9_000_000 - first <= 1_000
    assert len(found) <= 6


def test_an_empty_bucket_is_one_window() -> None:
    assert list(windows(BucketStats(0, None, None), 5, 9, "asc", 100)) == [(5, 9)]
