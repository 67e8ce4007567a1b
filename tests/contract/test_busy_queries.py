"""What every adapter of `ports/busy_queries` promises."""

from __future__ import annotations

import asyncio
from math import log2

import pytest

from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.busy_queries import SqlBusyQueries
from headrace.adapters.sql.database import ControlDatabase
from headrace.ports.busy_queries import MOST_TEXT, BusyQueries
from tests.contract.records import record

NOW = 10_000.0  # half-lives since 1970


@pytest.fixture
def busy(control: ControlDatabase) -> BusyQueries:
    return SqlBusyQueries(control)


@pytest.fixture
async def bucket(control: ControlDatabase) -> int:
    return (await SqlBuckets(control).create("billing", "", None, 5, None)).id


async def test_the_busiest_comes_first(busy: BusyQueries, bucket: int) -> None:
    await busy.add({bucket: {"a": NOW, "b": NOW + 2, "c": NOW + 1}}, keep=9, floor=0)
    assert await busy.top(bucket, 0) == ["b", "c", "a"]


async def test_what_comes_again_counts_together(busy: BusyQueries, bucket: int) -> None:
    await busy.add({bucket: {"three times": NOW + log2(2), "twice": NOW + log2(2)}}, keep=9, floor=0)
    await busy.add({bucket: {"three times": NOW}}, keep=9, floor=0)
    assert await busy.top(bucket, NOW + log2(3) - 0.001) == ["three times"]
    assert await busy.top(bucket, NOW + log2(3) + 0.001) == []


async def test_what_was_busy_long_ago_counts_less_than_what_came_lately(busy: BusyQueries, bucket: int) -> None:
    await busy.add({bucket: {"then": NOW + log2(100)}}, keep=9, floor=0)
    await busy.add({bucket: {"now": NOW + 7}}, keep=9, floor=0)
    assert await busy.top(bucket, 0) == ["now", "then"]


async def test_of_each_bucket_the_busiest_stay(busy: BusyQueries, bucket: int, control: ControlDatabase) -> None:
    other = (await SqlBuckets(control).create("shipping", "", None, 5, None)).id
    await busy.add({bucket: {"a": NOW, "b": NOW + 1}, other: {"c": NOW}}, keep=2, floor=0)
    await busy.add({bucket: {"d": NOW + 2}}, keep=2, floor=0)
    assert (await busy.top(bucket, 0), await busy.top(other, 0)) == (["d", "b"], ["c"])


async def test_what_fell_below_the_floor_is_forgotten(busy: BusyQueries, bucket: int) -> None:
    await busy.add({bucket: {"old": NOW}}, keep=9, floor=0)
    await busy.add({bucket: {"new": NOW + 5}}, keep=9, floor=NOW + 1)
    assert await busy.top(bucket, 0) == ["new"]


async def test_a_bucket_that_is_gone_is_left_out(busy: BusyQueries, bucket: int, control: ControlDatabase) -> None:
    await busy.add({bucket: {"a": NOW}}, keep=9, floor=0)
    await SqlBuckets(control).delete("billing", record(1))
    assert await busy.top(bucket, 0) == []
    await busy.add({bucket: {"a": NOW}}, keep=9, floor=0)
    assert await busy.top(bucket, 0) == []


async def test_the_longest_query_comes_back_as_it_was(busy: BusyQueries, bucket: int) -> None:
    longest = "ü" * MOST_TEXT
    await busy.add({bucket: {longest: NOW}}, keep=9, floor=0)
    assert await busy.top(bucket, 0) == [longest]


async def test_processes_that_count_the_same_query_at_once_lose_nothing(busy: BusyQueries, bucket: int) -> None:
    await asyncio.gather(*(busy.add({bucket: {"a": NOW}}, keep=9, floor=0) for _ in range(4)))
    assert await busy.top(bucket, NOW + 2 - 0.001) == ["a"]
