"""Whatever is asked through a view, of a real store: nothing from outside comes back, in no form."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions
from headrace.adapters.memory.bus import MemoryBus
from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.recent import MemoryRecent
from headrace.adapters.parquet.export_format import ParquetFormat
from headrace.errors import Malformed, NotFound
from headrace.kit.ids import format_id
from headrace.kit.times import SECOND
from headrace.model.bucket import Bucket
from headrace.model.event import LEVELS, Party, StoredEvent
from headrace.model.query import EventFilter, Order, Position
from headrace.model.view import View
from headrace.query.cursor import encode_cursor
from headrace.query.export import TEXT_FORMATS, Export
from headrace.query.filters import parse_filter
from headrace.query.reader import Reader
from headrace.query.tail import Tail
from tests.support.events import batch_of, stored_event
from tests.support.matching import matches
from tests.unit.query.fakes import CountingMetrics

BASE = 1_790_000_000
NOW = (BASE + 100) * SECOND
Pairs = Sequence[tuple[str, str]]

TENANTS = st.sampled_from(["acme", "zeta", "ac"])
_KNOWN: dict[str, st.SearchStrategy[str]] = {
    "attr.tenant": TENANTS,
    "attr.deep.n": st.sampled_from(["1", "2"]),
    "service": st.sampled_from(["a", "b", ""]),
    "action": st.sampled_from(["x.1", "x.2", "x.*", "*", "y"]),
    "actor": TENANTS,
    "target": TENANTS,
    "outcome": st.sampled_from(["success", "failure"]),
    "level": st.sampled_from(LEVELS),
    "min_level": st.sampled_from(LEVELS),
    "trace_id": TENANTS,
    "q": st.sampled_from(["acme", "-acme", '"acme said"', "said 1", "zeta -1", "", "ACME"]),
    "since": st.sampled_from([str(BASE), str(BASE + 3), "97s"]),
    "until": st.sampled_from([str(BASE), str(BASE + 4), "97s"]),
}
KNOWN = st.sampled_from(sorted(_KNOWN)).flatmap(lambda name: st.tuples(st.just(name), _KNOWN[name]))
WILD = st.tuples(
    st.sampled_from(["q", "service", "actor", "attr.tenant"]) | st.text(max_size=12).map("attr.".__add__),
    st.text(max_size=12) | st.sampled_from(["' OR 1=1 --", "%", "*", '") OR (', "\\", "null", "[]", '{"tenant":1}']),
)
REQUESTS = st.lists(KNOWN | WILD, max_size=5)


@st.composite
def stored(draw: st.DrawFn) -> list[StoredEvent]:
    events = []
    for number in range(draw(st.integers(1, 10))):
        tenant = draw(TENANTS)
        attributes = {"tenant": draw(TENANTS), "deep": {"n": draw(st.integers(1, 3))}, "said": draw(TENANTS)}
        fields = {
            "level": draw(st.integers(0, 5)),
            "service": draw(st.sampled_from(["a", "b", None])),
            "action": draw(st.sampled_from(["x.1", "x.2", "y", None])),
            "actor": draw(st.sampled_from([Party(tenant), Party("zeta", "user"), None])),
            "target": draw(st.sampled_from([Party(tenant), None])),
            "outcome": draw(st.sampled_from(["success", "failure", None])),
            "trace_id": draw(st.sampled_from([tenant, None])),
            "message": f"{tenant} said {number}",
            "attributes": draw(st.sampled_from([json.dumps(attributes), None])),
        }
        events.append(stored_event(number, (BASE + draw(st.integers(0, 6))) * SECOND, **fields))
    return events


class Stage:
    """One store for all examples, and a bucket of its own for each."""

    def __init__(self, directory: Path) -> None:
        self.runner = asyncio.Runner()
        self.clock = MemoryClock(NOW)
        options = DuckDBOptions(directory / "events.duckdb", query_timeout=20, threads=1)
        self.events = self.runner.run(DuckDBEvents.open(options, self.clock))
        metrics = CountingMetrics()
        self.reader = Reader(self.events, MemoryRecent(100), metrics, self.clock)
        self.tail = Tail(self.events, MemoryBus(), self.clock, metrics)
        self.export = Export(self.events, {**TEXT_FORMATS, "parquet": ParquetFormat()})
        self._buckets = 0

    async def store(self, events: list[StoredEvent]) -> tuple[Bucket, list[StoredEvent]]:
        """The bucket, and the events as they are in it."""
        self._buckets += 1
        bucket = Bucket(self._buckets, f"b{self._buckets}", "", None, 1)
        events = [stored_event(0, event.time, bucket.id << 32 | n, **_rest(event)) for n, event in enumerate(events)]
        batch = batch_of(events, bucket.id)
        batch.blocks, batch.block_rows = [(bucket.id, bucket.id)], [0]
        await self.events.write(batch)
        found = (await self.reader.list(View(bucket), order="asc")).events
        assert len(found) == len(events)
        return bucket, list(found)

    def close(self) -> None:
        self.runner.run(self.events.close())
        self.runner.close()


def _rest(event: StoredEvent) -> dict[str, object]:
    return {name: getattr(event, name) for name in event.__struct_fields__ if name not in ("seq", "id", "time")}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    stage = Stage(tmp_path_factory.mktemp("views"))
    yield stage
    stage.close()


QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(stored(), st.lists(KNOWN, max_size=3), st.lists(REQUESTS, min_size=1, max_size=3), st.data())
def test_nothing_from_outside_of_a_view_comes_back(
    stage: Stage, events: list[StoredEvent], fixed: Pairs, requests: list[Pairs], data: st.DataObject
) -> None:
    order: Order = data.draw(st.sampled_from(["asc", "desc"]))
    limit, offset = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 3))
    stage.runner.run(_check(stage, events, fixed, [[], *requests], order, limit, offset))


async def _check(
    stage: Stage, events: list[StoredEvent], fixed: Pairs, requests: list[Pairs], order: Order, limit: int, offset: int
) -> None:
    bucket, every = await stage.store(events)
    within = parse_filter(fixed, NOW)
    view, inside = View(bucket, within), [event for event in every if matches(event, within)]
    for pairs in requests:
        try:
            asked = parse_filter(pairs, NOW)
        except Malformed:
            continue
        found = await _everything(stage, view, asked, order, limit)
        assert all(event in inside for event in found)
        if not pairs:
            assert found == (inside if order == "asc" else inside[::-1])
        assert (await stage.reader.list(view, asked, order=order, limit=limit, offset=offset)).events == found[
            offset : offset + limit
        ]
        await _check_cursors(stage, view, asked, every, found)
        await _check_counts(stage, view, asked, found, inside)
        await _check_streams(stage, view, asked, found)
    await _check_ids(stage, view, every, inside)


async def _everything(stage: Stage, view: View, asked: EventFilter, order: Order, limit: int) -> list[StoredEvent]:
    page = await stage.reader.list(view, asked, order=order, limit=limit)
    found = list(page.events)
    while page.next_cursor:
        page = await stage.reader.list(view, asked, limit=limit, cursor=page.next_cursor)
        found += page.events
    return found


async def _check_cursors(
    stage: Stage, view: View, asked: EventFilter, every: list[StoredEvent], found: list[StoredEvent]
) -> None:
    """Those of anyone, at any event, in either direction."""
    for order in ("asc", "desc"):
        for event in every:
            cursor = encode_cursor(order, Position(event.time, event.id))
            assert all(one in found for one in (await stage.reader.list(view, asked, cursor=cursor)).events)


async def _check_counts(
    stage: Stage, view: View, asked: EventFilter, found: list[StoredEvent], inside: list[StoredEvent]
) -> None:
    histogram = await stage.reader.histogram(view, asked, interval="1h", by="level")
    assert sum(bar.count for bar in histogram.bars) == len(found)
    levels: Counter[str] = sum((Counter(dict(bar.by)) for bar in histogram.bars), Counter())
    assert levels == Counter(LEVELS[event.level] for event in found)
    facets = await stage.reader.facets(view, asked, fields=["service", "actor", "level", "trace_id"], limit=100)
    assert {one.value: one.count for one in facets["level"]} == levels
    for name, of in (
        ("service", lambda event: event.service),
        ("actor", lambda event: event.actor and event.actor.id),
        ("trace_id", lambda event: event.trace_id),
    ):
        assert {one.value: one.count for one in facets[name]} == Counter(
            value for event in found if (value := of(event)) is not None
        )
    assert all(event in inside for event in found)


async def _check_streams(stage: Stage, view: View, asked: EventFilter, found: list[StoredEvent]) -> None:
    ids = sorted(format_id(event.id) for event in found)
    for kind in ("ndjson", "csv", "parquet"):
        made = stage.export.open(view, asked, kind)
        assert sorted(_ids(b"".join([piece async for piece in made.chunks]), kind)) == ids
    assert sorted(event.seq for event in await _tailed(stage, view, asked)) == sorted(event.seq for event in found)


def _ids(body: bytes, format: str) -> list[str]:
    if format == "ndjson":
        return [json.loads(line)["id"] for line in body.splitlines()]
    if format == "csv":
        return [row["id"] for row in csv.DictReader(io.StringIO(body.decode("utf-8-sig")))]
    return [str(one) for one in pq.read_table(io.BytesIO(body))["id"].to_pylist()]


async def _tailed(stage: Stage, view: View, asked: EventFilter) -> list[StoredEvent]:
    """From the very beginning until a sign of life says that all was looked at."""
    newest = await stage.events.last_seq(1)
    stream = stage.tail.follow(view, asked, 0)
    found = []
    while True:
        pending = asyncio.ensure_future(anext(stream))
        while not pending.done():
            await stage.clock.advance(16)
            await asyncio.sleep(0.001)
        item = pending.result()
        if item.event is not None:
            found.append(item.event)
        elif item.position >= newest:
            break
    await stream.aclose()
    return found


async def _check_ids(stage: Stage, view: View, every: list[StoredEvent], inside: list[StoredEvent]) -> None:
    for event in every:
        try:
            assert await stage.reader.get(view, format_id(event.id)) in inside
        except NotFound:
            assert event not in inside
