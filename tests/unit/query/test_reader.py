"""Pages, one event, histogram and facets; and when the cache answers instead of the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.recent import MemoryRecent
from headrace.errors import Malformed, NotFound, QueryTimeout
from headrace.kit.ids import format_id
from headrace.kit.times import DAY, MINUTE, SECOND
from headrace.model.event import StoredEvent
from headrace.model.query import EventFilter, FacetValue, HistogramBar, Order
from headrace.query.reader import Reader
from tests.support.events import batch_of, newest_first, stored_event, written
from tests.unit.query.fakes import BUCKET, WHOLE, CountingMetrics, FakeEvents

SOME = [stored_event(seq, seq * 7_919 % 101, level=seq % 6) for seq in range(1, 51)]
ERRORS = EventFilter(levels=(4,))


class Desk:
    """A reader and what is around it."""

    def __init__(self, events: Sequence[StoredEvent] = SOME, *, recent: int = 0) -> None:
        self.events = FakeEvents(events)
        self.recent = MemoryRecent(recent)
        self.metrics = CountingMetrics()
        self.reader = Reader(self.events, self.recent, self.metrics, MemoryClock())

    async def all_pages(self, filter: EventFilter, order: Order, limit: int) -> list[StoredEvent]:
        page = await self.reader.list(WHOLE, filter, order=order, limit=limit)
        found = list(page.events)
        while page.next_cursor:
            page = await self.reader.list(WHOLE, filter, limit=limit, cursor=page.next_cursor)
            assert page.events
            found += page.events
        return found


@pytest.mark.parametrize("recent", [0, 20, 1_000])
@pytest.mark.parametrize("limit", [1, 7, 50, 1_000])
async def test_cursors_lead_through_every_event_once(recent: int, limit: int) -> None:
    desk = Desk(recent=recent)
    assert await desk.all_pages(EventFilter(), "desc", limit) == newest_first(SOME)
    assert await desk.all_pages(EventFilter(), "asc", limit) == newest_first(SOME)[::-1]


async def test_a_filter_holds_on_every_page() -> None:
    errors = [event for event in newest_first(SOME) if event.level == 4]
    assert await Desk().all_pages(ERRORS, "desc", 2) == errors


async def test_a_cursor_stays_right_while_events_arrive() -> None:
    desk = Desk(recent=100)
    first = await desk.reader.list(WHOLE, limit=10)
    newer = [stored_event(seq, 1_000 + seq) for seq in range(51, 80)]
    desk.events.add(*newer)
    desk.recent.add(batch_of(newer), written(newer))
    second = await desk.reader.list(WHOLE, limit=10, cursor=first.next_cursor)
    assert [*first.events, *second.events] == newest_first(SOME)[:20]


async def test_a_cursor_may_be_used_with_another_filter() -> None:
    desk = Desk()
    page = await desk.reader.list(WHOLE, limit=10)
    last = page.events[-1]
    found = (await desk.reader.list(WHOLE, ERRORS, cursor=page.next_cursor)).events
    assert found == [e for e in newest_first(SOME) if e.level == 4 and (e.time, e.id) < (last.time, last.id)]


@pytest.mark.parametrize("recent", [0, 1_000])
async def test_an_offset_skips(recent: int) -> None:
    page = await Desk(recent=recent).reader.list(WHOLE, limit=5, offset=10)
    assert page.events == newest_first(SOME)[10:15]
    assert page.next_cursor


@pytest.mark.parametrize("recent", [0, 1_000])
async def test_an_offset_behind_the_end_is_an_empty_last_page(recent: int) -> None:
    page = await Desk(recent=recent).reader.list(WHOLE, limit=5, offset=50)
    assert (list(page.events), page.next_cursor) == ([], None)


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("limit", {"limit": 0}),
        ("limit", {"limit": 1_001}),
        ("offset", {"offset": -1}),
        ("offset", {"offset": 10_001}),
        ("cursor", {"cursor": "nonsense"}),
        ("cursor", {"cursor": ""}),
    ],
)
async def test_a_page_that_cannot_be_is_refused(field: str, asked: dict[str, object]) -> None:
    with pytest.raises(Malformed) as caught:
        await Desk().reader.list(WHOLE, **asked)  # type: ignore[arg-type]
    assert [item.field for item in caught.value.items] == [field]


async def test_an_offset_too_far_is_told_to_use_a_cursor() -> None:
    with pytest.raises(Malformed, match="cursor"):
        await Desk().reader.list(WHOLE, offset=10_001)


async def test_the_newest_page_comes_from_the_cache_once_it_is_warm() -> None:
    desk = Desk(recent=20)
    await desk.reader.warm(BUCKET)
    page = await desk.reader.list(WHOLE, limit=20)
    assert page.events == newest_first(SOME)[:20]
    assert page.next_cursor
    assert desk.events.asked == {"latest": 1}


async def test_a_cold_bucket_is_loaded_by_its_first_reader() -> None:
    desk = Desk(recent=20)
    for _ in range(3):
        assert (await desk.reader.list(WHOLE, limit=5)).events == newest_first(SOME)[:5]
    assert desk.events.asked == {"latest": 1}
    assert (desk.metrics.values["recent_lookups", "hit"], desk.metrics.values["recent_lookups", "miss"]) == (2, 1)


async def test_many_readers_of_a_cold_bucket_load_it_once() -> None:
    desk = Desk(recent=20)
    pages = await asyncio.gather(*(desk.reader.list(WHOLE, limit=5) for _ in range(10)))
    assert all(page.events == newest_first(SOME)[:5] for page in pages)
    assert desk.events.asked == {"latest": 1}


async def test_a_reader_who_leaves_does_not_stop_the_load_for_the_others() -> None:
    desk = Desk(recent=20)
    desk.events.gate = asyncio.Event()
    first, second = (asyncio.create_task(desk.reader.list(WHOLE, limit=5)) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    desk.events.gate.set()
    assert (await second).events == newest_first(SOME)[:5]


async def test_what_is_committed_while_the_cache_is_loaded_is_in_the_next_page() -> None:
    desk = Desk(recent=20)
    desk.events.gate = asyncio.Event()
    warming = asyncio.create_task(desk.reader.warm(BUCKET))
    await asyncio.sleep(0.01)  # the store has been read, the cache is not loaded yet
    fresh = [stored_event(51, 10_000)]
    desk.events.add(*fresh)
    desk.recent.add(batch_of(fresh), written(fresh))
    desk.events.gate.set()
    await warming
    assert (await desk.reader.list(WHOLE, limit=2)).events == newest_first([*SOME, *fresh])[:2]


async def test_a_failed_load_is_told_and_tried_again_by_the_next() -> None:
    desk = Desk(recent=20)
    desk.events.failures.append(QueryTimeout("too slow"))
    with pytest.raises(QueryTimeout):
        await desk.reader.list(WHOLE, limit=5)
    assert (await desk.reader.list(WHOLE, limit=5)).events == newest_first(SOME)[:5]


@pytest.mark.parametrize(
    ("filter", "asked"),
    [
        (ERRORS, {}),
        (EventFilter(since=1), {}),
        (EventFilter(until=9), {}),
        (EventFilter(), {"order": "asc"}),
        (EventFilter(), {"offset": 30}),
    ],
)
async def test_everything_but_the_newest_events_is_asked_of_the_store(
    filter: EventFilter, asked: dict[str, object]
) -> None:
    desk = Desk(recent=20)
    await desk.reader.warm(BUCKET)
    await desk.reader.list(WHOLE, filter, limit=5, **asked)  # type: ignore[arg-type]
    assert desk.events.asked["search"] == 1


async def test_an_event_is_found_by_its_id_in_any_case() -> None:
    event = stored_event(1, id=0xABCDEF << 100)
    assert await Desk([event]).reader.get(WHOLE, format_id(event.id).upper()) == event


@pytest.mark.parametrize("id", ["", "x", "../etc", format_id(999), format_id(5).replace("-", ""), "\0", "9" * 10_000])
async def test_what_is_no_id_of_an_event_is_not_found(id: str) -> None:
    with pytest.raises(NotFound):
        await Desk().reader.get(WHOLE, id)


async def test_a_histogram_has_every_bar_between_since_and_until() -> None:
    events = [stored_event(1, 125 * SECOND), stored_event(2, 130 * SECOND)]
    span = EventFilter(since=70 * SECOND, until=300 * SECOND)
    found = await Desk(events).reader.histogram(WHOLE, span, interval="1m")
    assert found.interval == "1m"
    assert found.bars == [HistogramBar(minute * MINUTE, 2 * (minute == 2)) for minute in (1, 2, 3, 4)]


async def test_a_histogram_without_bounds_goes_from_the_first_event_to_the_last() -> None:
    events = [stored_event(1, 125 * SECOND), stored_event(2, 300 * SECOND)]
    found = await Desk(events).reader.histogram(WHOLE, interval="60")
    assert [(bar.time // MINUTE, bar.count) for bar in found.bars] == [(2, 1), (3, 0), (4, 0), (5, 1)]


async def test_a_histogram_of_nothing_is_empty() -> None:
    found = await Desk([]).reader.histogram(WHOLE, EventFilter(until=DAY))
    assert list(found.bars) == []


async def test_auto_goes_by_the_span_that_is_asked_for() -> None:
    found = await Desk().reader.histogram(WHOLE, EventFilter(since=DAY, until=2 * DAY))
    assert (found.interval, len(found.bars)) == ("15m", 96)


async def test_too_many_intervals_are_refused_before_the_store_is_asked() -> None:
    desk = Desk()
    with pytest.raises(Malformed):
        await desk.reader.histogram(WHOLE, EventFilter(since=DAY, until=2 * DAY), interval="1s")
    assert not desk.events.asked


async def test_facets_are_counted_for_each_field_once() -> None:
    found = await Desk([stored_event(1)]).reader.facets(WHOLE, fields=("level", "level"), limit=5)
    assert found == {"level": [FacetValue("info", 1)]}


@pytest.mark.parametrize(
    ("fields", "limit", "named"),
    [((), 10, "fields"), (("level", "message"), 10, "fields"), (("level",), 0, "limit"), (("level",), 1_001, "limit")],
)
async def test_facets_that_cannot_be_are_refused(fields: tuple[str, ...], limit: int, named: str) -> None:
    with pytest.raises(Malformed) as caught:
        await Desk().reader.facets(WHOLE, fields=fields, limit=limit)
    assert [item.field for item in caught.value.items] == [named]


async def test_every_kind_of_read_is_timed_also_when_it_fails() -> None:
    desk = Desk([stored_event(1)])
    await desk.reader.list(WHOLE)
    await desk.reader.get(WHOLE, format_id(1))
    await desk.reader.histogram(WHOLE)
    desk.events.failures.append(QueryTimeout("too slow"))
    with pytest.raises(QueryTimeout):
        await desk.reader.facets(WHOLE, fields=("level",))
    assert [desk.metrics.values["query_seconds", query] for query in ("list", "get", "histogram", "facets")] == [1] * 4
