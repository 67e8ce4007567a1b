"""Warming: what is loaded and asked beforehand, how gently, and that it pays."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.recent import MemoryRecent
from headrace.errors import Forbidden, Overloaded
from headrace.kit.times import DAY
from headrace.model.block import QueueDepth
from headrace.model.bucket import Bucket, BucketStats
from headrace.model.event import StoredEvent
from headrace.model.metric import RECENT_LOOKUPS
from headrace.model.principal import USER, Principal, Role
from headrace.model.query import EventFilter, HistogramBar
from headrace.model.view import View
from headrace.query import warming as warming_module
from headrace.query.busy import Busy, BusyQuery
from headrace.query.reader import Reader
from headrace.query.warming import Warming
from tests.support.events import stored_event
from tests.unit.query.fakes import BUCKET, WHOLE, CountingMetrics, FakeEvents
from tests.unit.query.test_busy import HeldQueries


class Sized(FakeEvents):
    async def bucket_stats(self, bucket_id: int) -> BucketStats:
        await self._enter("bucket_stats")
        return BucketStats(sum(bucket == bucket_id for bucket, _ in self.stored), None, None)


class Told:
    """An attempt."""

    def progress(self, value: object) -> None: ...


class House:
    """Everything around one Warming; `depth` is that of the queue."""

    def __init__(
        self, events: Sequence[StoredEvent] = (), buckets: Sequence[Bucket] = (BUCKET,), recent: int = 50
    ) -> None:
        self.clock = MemoryClock()
        self.events = Sized(events)
        self.buckets = buckets
        self.metrics = CountingMetrics()
        self.depth_now = QueueDepth(0, 0, 0, 0.0)
        self.busy = Busy(HeldQueries(), self.clock)
        self.reader = Reader(self.events, MemoryRecent(recent), self.metrics, self.clock, self.busy)
        self.warming = Warming(self.reader, self.busy, self.events, self, self, self.clock)

    async def list(self) -> Sequence[Bucket]:
        return self.buckets

    async def depth(self) -> QueueDepth:
        return self.depth_now

    async def warm(self) -> Any:
        running = asyncio.ensure_future(self.warming.run(Told(), {}))
        while not running.done():
            await self.clock.advance(1)
        return await running


SOME = [stored_event(seq, seq) for seq in range(1, 21)]


async def test_the_first_page_after_a_start_comes_from_the_recent_cache() -> None:
    house = House(SOME)
    assert await house.warm() == {"buckets": 1, "queries": 0, "left_out": 0}
    house.events.asked.clear()
    page = await house.reader.list(WHOLE, limit=10)
    assert len(page.events) == 10
    assert not house.events.asked
    assert house.metrics.values[RECENT_LOOKUPS.name, "hit"] == 1
    assert not house.metrics.values[RECENT_LOOKUPS.name, "miss"]


async def test_busy_queries_are_asked_with_the_clock_of_now() -> None:
    house = House(SOME)
    now = house.clock.now()
    for _ in range(5):
        house.busy.note(BUCKET.id, BusyQuery("list", EventFilter(since=now - DAY, levels=(2,)), limit=7))
        house.busy.note(BUCKET.id, BusyQuery("histogram", EventFilter(), interval="auto", by="level"))
        house.busy.note(BUCKET.id, BusyQuery("facets", EventFilter(), limit=3, fields=("level",)))
    await house.busy.flush()
    await house.clock.advance(3600)
    assert (await house.warm())["queries"] == 3
    (search,) = house.events.searches
    assert search.limit == 8
    assert search.filter.since == pytest.approx(now + 3600_000_000 - DAY, abs=5_000_000)
    assert (house.events.asked["histogram"], house.events.asked["facets"]) == (1, 1)


async def test_a_warmed_query_is_not_counted_as_asked() -> None:
    house = House(SOME)
    for _ in range(5):
        house.busy.note(BUCKET.id, BusyQuery("list", EventFilter(levels=(2,)), limit=7))
    await house.busy.flush()
    before = dict(house.metrics.values)
    await house.warm()
    assert await house.busy.flush() == 0
    assert dict(house.metrics.values) == before


async def test_without_a_recent_cache_the_first_page_warms_the_database() -> None:
    house = House(SOME, recent=0)
    assert (await house.warm())["buckets"] == 1
    assert house.events.asked["latest"] == 1


async def test_of_many_buckets_the_largest_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warming_module, "LARGEST", 2)
    buckets = [Bucket(number, f"b{number}", "", None, 1) for number in range(1, 6)]
    house = House(buckets=buckets)
    for number, size in ((1, 1), (2, 9), (3, 2), (4, 7), (5, 3)):
        house.events.add(*[stored_event(100 * number + seq) for seq in range(size)], bucket_id=number)
    assert (await house.warm())["buckets"] == 2
    house.events.asked.clear()
    for bucket in (buckets[1], buckets[3]):
        await house.reader.list(View(bucket))
    assert not house.events.asked


async def test_nothing_is_read_while_the_queue_is_deep() -> None:
    house = House(SOME)
    house.depth_now = QueueDepth(9, 1_000_000, 9, 1.0)
    running = asyncio.ensure_future(house.warming.run(Told(), {}))
    await house.clock.advance(30)
    assert not house.events.asked
    house.depth_now = QueueDepth(0, 0, 0, 0.0)
    await house.clock.advance(5)
    assert running.done()
    assert house.events.asked["latest"] == 1


async def test_what_waited_too_long_for_the_queue_is_left_out() -> None:
    house = House(SOME)
    house.depth_now = QueueDepth(1, 1, 1, 60.0)
    assert await house.warm() == {"buckets": 0, "queries": 0, "left_out": 2}
    assert not house.events.asked


async def test_a_store_that_is_busy_keeps_no_other_bucket_from_its_turn() -> None:
    house = House(SOME, buckets=(BUCKET, Bucket(8, "other", "", None, 1)))
    house.events.failures.append(Overloaded("busy"))
    assert await house.warm() == {"buckets": 1, "queries": 0, "left_out": 1}


async def test_a_step_makes_one_read_so_that_it_can_be_stopped() -> None:
    house = House(SOME, buckets=[Bucket(number, f"b{number}", "", None, 1) for number in range(1, 4)])

    async def step() -> int:
        stepping = asyncio.ensure_future(house.warming.step())
        while not stepping.done():
            await house.clock.advance(0.1)
        return await stepping

    assert await step() == 1
    assert house.events.asked["latest"] == 1
    assert [await step() for _ in range(5)] == [1] * 5
    assert await step() == 0
    assert house.events.asked["latest"] == 3


async def test_only_an_administrator_may_have_it_done() -> None:
    permit = House().warming.kind.permit
    assert permit is not None
    await permit(Principal("a", USER, "ada", Role.ADMIN), b"{}")
    with pytest.raises(Forbidden):
        await permit(Principal("b", USER, "bob", Role.USER), b"{}")


def test_it_takes_no_args() -> None:
    check = House().warming.kind.check
    assert not check(b"{}")
    assert [error.field for error in check(b'{"bucket": "app"}')] == ["args.bucket"]


async def test_a_histogram_that_became_too_wide_is_left_out() -> None:
    class Wide(Sized):
        async def histogram(self, *args: Any) -> Sequence[HistogramBar]:
            raise AssertionError("2,000 bars are the most")

    house = House()
    house.warming._events = house.events = Wide([stored_event(1, 1), stored_event(2, 400 * DAY)])
    house.reader._events = house.events
    for _ in range(5):
        house.busy.note(BUCKET.id, BusyQuery("histogram", EventFilter(), interval="1s"))
    await house.busy.flush()
    assert (await house.warm())["left_out"] == 1
