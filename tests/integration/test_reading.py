"""The reading features on the real store: what the cache, the tail and an export say is what is stored."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions
from headrace.adapters.memory.bus import MemoryBus
from headrace.adapters.memory.recent import MemoryRecent
from headrace.adapters.parquet.export_format import ParquetFormat
from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.adapters.system.clock import SystemClock
from headrace.kit.times import SECOND
from headrace.model.bucket import Bucket
from headrace.model.event import Party, StoredEvent
from headrace.model.query import EventFilter, Search
from headrace.model.view import View
from headrace.ports.bus import Stored
from headrace.query.export import TEXT_FORMATS, Export
from headrace.query.reader import Reader
from headrace.query.render import event_json
from headrace.query.tail import Tail
from tests.support.events import batch_of, newest_first, stored_event

BUCKET = Bucket(3, "app", "", None, 1)
WHOLE = View(BUCKET)
BASE = 1_790_000_000 * SECOND


class Desk:
    """A store with the features that read it, fed as the drain does."""

    def __init__(self, events: DuckDBEvents) -> None:
        self.events = events
        self.bus = MemoryBus()
        self.recent = MemoryRecent(100)
        metrics, clock = PrometheusMetrics(), SystemClock()
        self.reader = Reader(events, self.recent, metrics, clock)
        self.tail = Tail(events, self.bus, clock, metrics)
        self.export = Export(events, {**TEXT_FORMATS, "parquet": ParquetFormat()})
        self._blocks = 0

    async def store(self, events: list[StoredEvent]) -> None:
        self._blocks += 1
        batch = batch_of(events, BUCKET.id)
        batch.blocks, batch.block_rows = [(self._blocks, BUCKET.id)], [0]
        written = await self.events.write(batch)
        self.recent.add(batch, written)
        await self.bus.publish(Stored(written.first_seq + written.stored - 1, frozenset([BUCKET.id]), frozenset()))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    events = await DuckDBEvents.open(DuckDBOptions(path=tmp_path / "events.duckdb"), SystemClock())
    yield Desk(events)
    await events.close()


def some(count: int, seed: int = 1) -> list[StoredEvent]:
    dice = random.Random(seed)
    return [
        stored_event(
            0, BASE + dice.randrange(10**9), dice.getrandbits(128), received_at=BASE + dice.randrange(10**9),
            level=dice.randrange(6), service=dice.choice(["", "api", None]), action=dice.choice(["x.y", None]),
            actor=dice.choice([None, Party("a"), Party("", "user", "Ada"), Party("b", None, "")]),
            target=dice.choice([None, Party("t", "invoice")]), outcome=dice.choice([None, "success"]),
            attributes=dice.choice([None, "{}", '{"a": 1.50, "ü": [null, "\\u00e9"]}']),
            trace_id=dice.choice([None, "4bf9"]),
        )
        for _ in range(count)
    ]  # fmt: skip


async def test_the_cache_answers_as_the_store_does_field_by_field(desk: Desk) -> None:
    await desk.store(some(300, 1))
    await desk.reader.warm(BUCKET)
    await desk.store(some(40, 2))
    page = await desk.reader.list(WHOLE, limit=100)
    assert page.events == list(await desk.events.search(Search(BUCKET.id, limit=100)))
    assert desk.recent.latest(BUCKET.id, 100) == page.events


@pytest.mark.parametrize("format", ["ndjson", "csv", "parquet"])
async def test_an_export_has_every_event(desk: Desk, format: str) -> None:
    events = some(2_500)
    await desk.store(events)
    made = b"".join([piece async for piece in desk.export.open(WHOLE, EventFilter(), format).chunks])
    if format == "ndjson":
        assert made.splitlines() == [event_json(event, "app") for event in reversed(newest_first(events))]
    elif format == "csv":
        assert made.count(b"\r\n") == 2_501
    else:
        assert (made[:4], made[-4:]) == (b"PAR1", b"PAR1")


async def test_a_tail_that_is_cut_and_resumed_sees_every_event_once(desk: Desk) -> None:
    seen: list[tuple[int, int]] = []
    position = 0
    for turn in range(5):
        events = some(300, turn)
        await desk.store(events)
        async with aclosing(desk.tail.follow(WHOLE, EventFilter(), position)) as stream:
            async for item in stream:
                position = item.position
                if item.event is not None:
                    seen.append((item.position, item.event.id))
                if len(seen) == 300 * (turn + 1) - 150 * (turn < 4):
                    break
    assert len(seen) == 1_500
    assert sorted(seen) == seen
    assert len({identity for _, identity in seen}) == 1_500


async def test_a_histogram_counts_all_and_leaves_no_gap(desk: Desk) -> None:
    await desk.store(some(500))
    found = await desk.reader.histogram(WHOLE, by="level")
    assert sum(bar.count for bar in found.bars) == 500
    assert 48 <= len(found.bars) <= 121
    assert found.interval == "10s"
