"""Busy queries: what counts as the same read, what is kept of it, and what is forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.recent import MemoryRecent
from headrace.errors import Unavailable
from headrace.kit.times import DAY, HOUR
from headrace.model.query import ActionMatch, AttributeMatch, EventFilter, Word
from headrace.model.view import View
from headrace.query import busy as busy_module
from headrace.query.busy import KEPT, Busy, BusyQuery
from headrace.query.filters import parse_filter
from headrace.query.reader import Reader
from tests.support.events import stored_event
from tests.unit.query.fakes import BUCKET, WHOLE, CountingMetrics, FakeEvents


class HeldQueries:
    """Scores in a dict; two of the same query are the higher one of them, which is enough here."""

    def __init__(self) -> None:
        self.scores: dict[int, dict[str, float]] = {}
        self.failure: Unavailable | None = None

    async def add(self, scores: Mapping[int, Mapping[str, float]], *, keep: int, floor: float) -> None:
        if self.failure is not None:
            raise self.failure
        for bucket_id, added in scores.items():
            merged = {**self.scores.get(bucket_id, {}), **added}
            ranked = sorted(merged.items(), key=lambda one: -one[1])[:keep]
            self.scores[bucket_id] = {query: score for query, score in ranked if score >= floor}

    async def top(self, bucket_id: int, floor: float) -> Sequence[str]:
        ranked = sorted(self.scores.get(bucket_id, {}).items(), key=lambda one: -one[1])
        return [query for query, score in ranked if score >= floor]


class Counted:
    def __init__(self) -> None:
        self.clock = MemoryClock()
        self.kept = HeldQueries()
        self.busy = Busy(self.kept, self.clock)

    def ask(self, times: int = 5, **filter: object) -> BusyQuery:
        query = BusyQuery("list", EventFilter(**filter), limit=100)
        for _ in range(times):
            self.busy.note(BUCKET.id, query)
        return query


async def test_what_was_asked_often_is_known_after_a_restart() -> None:
    counted = Counted()
    often = counted.ask(5, levels=(4,))
    counted.ask(1, levels=(5,))
    assert await counted.busy.flush() == 1
    assert await Busy(counted.kept, counted.clock).top(BUCKET.id) == [often]


async def test_a_filter_by_age_is_the_same_read_whenever_it_is_asked() -> None:
    counted = Counted()
    for _ in range(5):
        asked = parse_filter([("since", "24h")], counted.clock.now())
        counted.clock.jump(0.02)
        counted.busy.note(BUCKET.id, BusyQuery("histogram", asked))
        await counted.clock.advance(47)
    await counted.busy.flush()
    await counted.clock.advance(3600)
    (query,) = await counted.busy.top(BUCKET.id)
    assert query.filter_at(counted.clock.now()).since == counted.clock.now() - 24 * HOUR


async def test_a_filter_with_an_end_stays_where_it_is() -> None:
    counted = Counted()
    query = counted.ask(since=5, until=9)
    await counted.busy.flush()
    assert await counted.busy.top(BUCKET.id) == [query]
    assert query.filter_at(counted.clock.now()) == EventFilter(since=5, until=9)


async def test_every_part_of_a_filter_is_kept() -> None:
    counted = Counted()
    query = counted.ask(
        levels=(1, 2), min_level=3, services=("a",), actions=(ActionMatch("b.", prefix=True),), actors=("ü",),
        targets=("d",), outcomes=("failure",), trace_ids=("t",), texts=((Word("x", negated=True), Word("y")),),
        attributes=(AttributeMatch("a.b", ("1", "2")),), within=EventFilter(actors=("ada",)),
    )  # fmt: skip
    await counted.busy.flush()
    assert await counted.busy.top(BUCKET.id) == [query]


async def test_what_a_viewer_token_sees_since_an_age_is_not_kept() -> None:
    counted = Counted()
    counted.ask(within=EventFilter(since=5, actors=("ada",)))
    assert await counted.busy.flush() == 0


async def test_what_nobody_asks_for_any_more_is_not_busy_after_some_days() -> None:
    counted = Counted()
    counted.ask(5)
    await counted.busy.flush()
    assert await counted.busy.top(BUCKET.id)
    await counted.clock.advance(5 * DAY / 1_000_000)
    assert not await counted.busy.top(BUCKET.id)


async def test_of_a_bucket_only_the_busiest_are_kept() -> None:
    counted = Counted()
    for number in range(3 * KEPT):
        counted.ask(3 + number, actors=(f"actor {number}",))
    await counted.busy.flush()
    found = [query.filter.actors[0] for query in await counted.busy.top(BUCKET.id)]
    assert found == [f"actor {number}" for number in range(3 * KEPT - 1, 2 * KEPT - 1, -1)]


async def test_many_different_reads_do_not_fill_the_memory_nor_push_out_the_frequent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(busy_module, "_COUNTED", 100)
    counted = Counted()
    often = counted.ask(50, levels=(4,))
    for number in range(1_000):
        counted.ask(1, actors=(f"actor {number}",))
        assert len(counted.busy._counts) <= 100
        if number % 50 == 0:
            counted.ask(50, levels=(4,))
    await counted.busy.flush()
    assert (await counted.busy.top(BUCKET.id))[0] == often


async def test_counts_outlive_a_database_that_is_away() -> None:
    counted = Counted()
    query = counted.ask()
    counted.kept.failure = Unavailable("away")
    with pytest.raises(Unavailable):
        await counted.busy.flush()
    counted.kept.failure = None
    assert await counted.busy.flush() == 1
    assert await counted.busy.top(BUCKET.id) == [query]


async def test_without_reads_nothing_is_written() -> None:
    counted = Counted()
    counted.kept.failure = Unavailable("must not be asked")
    assert await counted.busy.flush() == 0


async def test_a_query_of_another_version_is_passed_over() -> None:
    counted = Counted()
    query = counted.ask()
    await counted.busy.flush()
    counted.kept.scores[BUCKET.id] |= {"no JSON": 1e9, '{"kind":"sum","filter":{}}': 1e9}
    assert await counted.busy.top(BUCKET.id) == [query]


async def test_the_reader_tells_of_what_the_store_answered_on_first_pages_alone() -> None:
    counted = Counted()
    events = FakeEvents([stored_event(seq) for seq in range(1, 20)])
    reader = Reader(events, MemoryRecent(100), CountingMetrics(), counted.clock, counted.busy)
    errors = EventFilter(levels=(2,))
    for _ in range(5):
        await reader.list(WHOLE)  # of the cache
        page = await reader.list(WHOLE, errors, limit=3)
        await reader.list(WHOLE, errors, limit=3, cursor=page.next_cursor)
        await reader.list(WHOLE, errors, limit=4, offset=3)
        await reader.histogram(View(BUCKET, errors), by="level")
        await reader.facets(WHOLE, fields=["level"], limit=7)
    await counted.busy.flush()
    assert {(query.kind, query.limit) for query in await counted.busy.top(BUCKET.id)} == {
        ("list", 3), ("histogram", 0), ("facets", 7),
    }  # fmt: skip
