"""The live tail: no gap, no duplicate, signs of life, and an end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest

from headrace.adapters.memory.bus import MemoryBus
from headrace.adapters.memory.clock import MemoryClock
from headrace.errors import Overloaded, Unavailable
from headrace.model.event import StoredEvent
from headrace.model.query import EventFilter
from headrace.ports.bus import Stored
from headrace.query.tail import Tail, TailItem, TailPage, TailStream
from tests.support.events import stored_event
from tests.unit.query.fakes import BUCKET, WHOLE, CountingMetrics, FakeEvents

EVERYTHING = EventFilter()


class Desk:
    """A tail and what is around it; what a stream gives is collected as it comes."""

    def __init__(self, *, stored: int = 0, most: int = 10) -> None:
        self.events = FakeEvents([stored_event(seq) for seq in range(1, stored + 1)])
        self.bus = MemoryBus()
        self.clock = MemoryClock()
        self.metrics = CountingMetrics()
        self.tail = Tail(self.events, self.bus, self.clock, self.metrics, most=most)
        self.tasks: list[asyncio.Task[None]] = []

    def follow(self, filter: EventFilter = EVERYTHING, after: int | None = None) -> list[TailItem]:
        items: list[TailItem] = []
        self.tasks.append(asyncio.create_task(self._collect(self.tail.follow(WHOLE, filter, after), items)))
        return items

    async def store(self, *events: StoredEvent, bucket_id: int = BUCKET.id, tell: bool = True) -> None:
        self.events.add(*events, bucket_id=bucket_id)
        if tell:
            await self.bus.publish(Stored(events[-1].seq, frozenset([bucket_id]), frozenset()))
        await self.clock.advance(0)

    async def _collect(self, stream: TailStream, items: list[TailItem]) -> None:
        async for item in stream:
            items.append(item)  # noqa: PERF401  # seen as they come


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await stop(desk)


async def stop(desk: Desk) -> None:
    await desk.tail.stop()
    async with asyncio.timeout(5):
        await asyncio.gather(*desk.tasks)


def seqs(items: list[TailItem]) -> list[int]:
    return [item.event.seq for item in items if item.event is not None]


async def test_it_starts_with_a_sign_of_life_at_the_newest_position() -> None:
    desk = Desk(stored=5)
    items = desk.follow()
    await desk.clock.advance(0)
    assert items == [TailItem(5, None)]
    await stop(desk)


async def test_an_event_comes_at_once_after_a_rest(desk: Desk) -> None:
    items = desk.follow()
    await desk.clock.advance(1)
    await desk.store(stored_event(1))
    assert items[1:] == [TailItem(1, stored_event(1))]


async def test_events_come_in_the_order_of_storing_not_of_time(desk: Desk) -> None:
    items = desk.follow()
    await desk.clock.advance(1)
    await desk.store(stored_event(1, 900), stored_event(2, 100), stored_event(3, 500))
    assert seqs(items) == [1, 2, 3]


async def test_a_resumed_tail_has_what_was_stored_meanwhile_and_nothing_twice() -> None:
    desk = Desk(stored=450)
    items = desk.follow(after=3)
    await desk.clock.advance(0)
    await desk.store(stored_event(451))
    await desk.clock.advance(1)
    assert seqs(items) == list(range(4, 452))
    await stop(desk)


async def test_a_position_that_the_store_never_had_counts_as_its_newest(desk: Desk) -> None:
    items = desk.follow(after=10**15)
    await desk.clock.advance(1)
    await desk.store(stored_event(1))
    assert seqs(items) == [1]


async def test_a_filter_leaves_the_others_out_and_the_position_moves_on(desk: Desk) -> None:
    items = desk.follow(EventFilter(levels=(4,)))
    await desk.clock.advance(1)
    await desk.store(stored_event(1), stored_event(2, level=4), stored_event(3))
    await desk.clock.advance(16)
    assert seqs(items) == [2]
    assert items[-1] == TailItem(3, None)


async def test_a_filter_that_matches_little_gets_through_a_long_past_without_waiting() -> None:
    desk = Desk(stored=1_000)
    desk.events.add(stored_event(1_001, level=4))
    desk.events.look = 10
    items = desk.follow(EventFilter(levels=(4,)), after=1)
    for _ in range(30):
        await desk.clock.advance(0)
    assert seqs(items) == [1_001]
    await stop(desk)


async def test_events_of_other_buckets_do_not_wake_it(desk: Desk) -> None:
    desk.follow()
    await desk.clock.advance(1)
    asked = desk.events.asked["after"]
    await desk.store(stored_event(1), bucket_id=99)
    await desk.clock.advance(5)
    assert desk.events.asked["after"] == asked


async def test_a_word_that_got_lost_only_delays(desk: Desk) -> None:
    items = desk.follow()
    await desk.clock.advance(1)
    await desk.store(stored_event(1), tell=False)
    await desk.clock.advance(15)
    assert seqs(items) == [1]


async def test_a_word_during_a_question_is_not_lost(desk: Desk) -> None:
    items = desk.follow()
    await desk.clock.advance(0)
    for seq in range(1, 40):  # published in every possible moment of the stream
        desk.events.add(stored_event(seq))
        await desk.bus.publish(Stored(seq, frozenset([BUCKET.id]), frozenset()))
        for _ in range(seq % 5):
            await asyncio.sleep(0)
    await desk.clock.advance(1)
    assert seqs(items) == list(range(1, 40))


async def test_it_asks_at_most_five_times_a_second(desk: Desk) -> None:
    items = desk.follow()
    await desk.clock.advance(1)
    asked = desk.events.asked["after"]
    for seq in range(1, 201):
        await desk.store(stored_event(seq))
        await desk.clock.advance(0.01)
    assert desk.events.asked["after"] - asked <= 11
    await desk.clock.advance(0.2)
    assert seqs(items) == list(range(1, 201))


async def test_signs_of_life_come_every_15_seconds_without_events(desk: Desk) -> None:
    items = desk.follow()
    await desk.clock.advance(14.9)
    assert len(items) == 1
    await desk.clock.advance(31)
    assert items == [TailItem(0, None)] * 4


async def test_an_event_puts_the_sign_of_life_off(desk: Desk) -> None:
    items = desk.follow()
    await desk.clock.advance(10)
    await desk.store(stored_event(1))
    await desk.clock.advance(14)
    assert len(items) == 2
    await desk.clock.advance(2)
    assert items[2:] == [TailItem(1, None)]


async def test_a_store_that_cannot_answer_delays_the_stream_without_a_gap(desk: Desk) -> None:
    items = desk.follow()
    await desk.clock.advance(1)
    desk.events.failures += [Overloaded("busy"), Unavailable("away", retry_after=3)]
    await desk.store(stored_event(1))
    await desk.clock.advance(3)
    assert seqs(items) == []
    await desk.clock.advance(3)
    assert seqs(items) == [1]


async def test_a_slow_reader_holds_up_nobody_else(desk: Desk) -> None:
    slow = desk.tail.follow(WHOLE, EVERYTHING)
    await anext(slow)
    quick = desk.follow()
    await desk.clock.advance(1)
    await desk.store(*[stored_event(seq) for seq in range(1, 1_000)])
    await desk.clock.advance(1)
    assert seqs(quick) == list(range(1, 1_000))
    assert [(await anext(slow)).position for _ in range(999)] == list(range(1, 1_000))
    await slow.aclose()


async def test_stop_ends_every_stream_and_refuses_new_ones() -> None:
    desk = Desk(stored=3)
    for after in (None, 0):
        desk.follow(after=after)
    await desk.clock.advance(1)
    await stop(desk)
    assert desk.metrics.values["tails",] == 0
    with pytest.raises(Unavailable):
        desk.tail.follow(WHOLE, EVERYTHING)


async def test_stop_does_not_wait_for_the_rest_of_a_page() -> None:
    desk = Desk(stored=100)
    stream = desk.tail.follow(WHOLE, EVERYTHING, 0)
    await anext(stream)
    await anext(stream)
    await desk.tail.stop()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_there_are_at_most_so_many_tails() -> None:
    desk = Desk(most=2)
    first, second = (desk.tail.follow(WHOLE, EVERYTHING) for _ in range(2))
    assert desk.metrics.values["tails",] == 2
    with pytest.raises(Overloaded):
        desk.tail.follow(WHOLE, EVERYTHING)
    await first.aclose()
    await first.aclose()
    desk.tail.follow(WHOLE, EVERYTHING)
    await second.aclose()


async def test_a_stream_that_its_reader_just_drops_is_closed_by_that() -> None:
    desk = Desk(most=1)

    async def leave_after_the_first() -> None:
        async for _ in desk.tail.follow(WHOLE, EVERYTHING):
            return

    gc.disable()  # or a collection in passing would hide a stream that holds itself
    try:
        desk.tail.follow(WHOLE, EVERYTHING)  # not even begun
        for _ in range(3):
            await leave_after_the_first()
            await desk.clock.advance(0)
        assert desk.metrics.values["tails",] == 0
        assert not desk.bus._listeners
    finally:
        gc.enable()


async def test_a_cancelled_reader_frees_its_place() -> None:
    desk = Desk(most=1)
    desk.follow()
    await desk.clock.advance(1)
    desk.tasks[0].cancel()
    await desk.clock.advance(0)
    assert desk.metrics.values["tails",] == 0
    assert not desk.bus._listeners


async def test_pages_say_whether_another_follows_at_once_and_keep_that_promise() -> None:
    desk = Desk(stored=400)
    pages = desk.tail.follow_pages(WHOLE, EVERYTHING, after=0)
    found = [await anext(pages) for _ in range(4)]
    assert [(len(page.events), page.position, page.more) for page in found] == [
        (0, 0, False),
        (200, 200, True),
        (200, 400, True),
        (0, 400, False),
    ]
    await pages.aclose()


async def test_a_page_that_is_not_full_is_not_followed_at_once() -> None:
    desk = Desk(stored=3)
    pages = desk.tail.follow_pages(WHOLE, EVERYTHING, after=0)
    await anext(pages)
    assert await anext(pages) == TailPage(3, [stored_event(seq) for seq in (1, 2, 3)], more=False)
    await pages.aclose()


async def test_the_position_is_the_newest_one_and_what_is_stored_later_comes_behind_it() -> None:
    desk = Desk(stored=5)
    items = desk.follow(after=await desk.tail.position(WHOLE))
    await desk.clock.advance(0)
    await desk.store(stored_event(6))
    await desk.clock.advance(1)
    assert seqs(items) == [6]
    await stop(desk)
