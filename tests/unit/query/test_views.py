"""A view holds in every read, and only a whole bucket is answered from the cache."""

from __future__ import annotations

import json

import pytest

from headrace.adapters.memory.bus import MemoryBus
from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.recent import MemoryRecent
from headrace.errors import NotFound
from headrace.kit.ids import format_id
from headrace.model.query import EVERYTHING, EventFilter, FacetValue
from headrace.model.view import View
from headrace.query.export import TEXT_FORMATS, Export
from headrace.query.reader import Reader
from headrace.query.tail import Tail
from tests.support.events import newest_first, stored_event
from tests.unit.query.fakes import BUCKET, WHOLE, CountingMetrics, FakeEvents

SOME = [stored_event(seq, level=seq % 6) for seq in range(1, 51)]
ERRORS = View(BUCKET, EventFilter(levels=(4,)))
INSIDE = [event for event in SOME if event.level == 4]
WIDER = EventFilter(levels=(0, 1, 2, 3, 4, 5), since=0)


@pytest.fixture
def events() -> FakeEvents:
    return FakeEvents(SOME)


@pytest.fixture
def reader(events: FakeEvents) -> Reader:
    return Reader(events, MemoryRecent(1_000), CountingMetrics(), MemoryClock())


@pytest.mark.parametrize("filter", [EVERYTHING, WIDER])
async def test_a_page_shows_what_is_inside(reader: Reader, filter: EventFilter) -> None:
    await reader.list(WHOLE)  # the cache now has all of the bucket
    assert (await reader.list(ERRORS, filter)).events == newest_first(INSIDE)


async def test_the_cache_answers_only_for_the_whole_bucket(reader: Reader, events: FakeEvents) -> None:
    await reader.list(WHOLE)
    before = events.asked["search"]
    await reader.list(WHOLE)
    assert events.asked["search"] == before
    await reader.list(View(BUCKET, EVERYTHING))  # a view that lets everything through is one all the same
    assert events.asked["search"] == before + 1


async def test_a_cursor_of_a_page_of_the_whole_bucket_leads_through_the_inside_only(reader: Reader) -> None:
    for order in ("asc", "desc"):
        page = await reader.list(WHOLE, order=order, limit=7)
        found = (await reader.list(ERRORS, cursor=page.next_cursor)).events
        assert found
        assert all(event in INSIDE for event in found)


async def test_the_last_page_is_the_last_of_the_inside(reader: Reader) -> None:
    page = await reader.list(ERRORS, limit=len(INSIDE))
    assert page.next_cursor is None


async def test_an_event_outside_is_not_there(reader: Reader) -> None:
    for event in SOME:
        if event in INSIDE:
            assert await reader.get(ERRORS, format_id(event.id)) == event
        else:
            with pytest.raises(NotFound) as outside:
                await reader.get(ERRORS, format_id(event.id))
            with pytest.raises(NotFound) as absent:
                await reader.get(ERRORS, format_id(event.id + 1_000))
            assert str(outside.value).replace(format_id(event.id), "") == str(absent.value).replace(
                format_id(event.id + 1_000), ""
            )


async def test_counts_are_of_the_inside(reader: Reader) -> None:
    bars = (await reader.histogram(ERRORS, WIDER, interval="1s")).bars
    assert sum(bar.count for bar in bars) == len(INSIDE)
    assert await reader.facets(ERRORS, WIDER, fields=["level"]) == {"level": [FacetValue("error", len(INSIDE))]}


async def test_a_histogram_without_times_begins_and_ends_inside(reader: Reader) -> None:
    reader = Reader(FakeEvents([*SOME, stored_event(99, 10**12)]), MemoryRecent(0), CountingMetrics(), MemoryClock())
    bars = (await reader.histogram(ERRORS, interval="1s")).bars
    assert len(bars) == 1  # else: a hundred thousand more, refused with a text that tells of them


async def test_a_tail_from_the_beginning_brings_the_inside(events: FakeEvents) -> None:
    tail = Tail(events, MemoryBus(), MemoryClock(), CountingMetrics())
    stream = tail.follow(ERRORS, WIDER, 0)
    assert (await anext(stream)).event is None
    assert [(await anext(stream)).event for _ in INSIDE] == INSIDE
    await stream.aclose()


@pytest.mark.parametrize("format", TEXT_FORMATS)
async def test_an_export_has_the_inside(events: FakeEvents, format: str) -> None:
    made = Export(events, TEXT_FORMATS).open(ERRORS, WIDER, format)
    text = b"".join([piece async for piece in made.chunks]).decode()
    if format == "ndjson":
        assert [json.loads(line)["id"] for line in text.splitlines()] == [format_id(event.id) for event in INSIDE]
    assert text.count("event ") == len(INSIDE)
