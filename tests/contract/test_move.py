"""`ports/move`: what leaves one profile arrives in the other as it was, and what is there already is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from headrace.adapters.duckdb import move as duckdb_move
from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions
from headrace.adapters.duckdb.move import DuckDBMoveEvents
from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.postgres.move import PostgresMoveEvents, PostgresMoveQueue
from headrace.adapters.postgres.queue import PostgresQueue
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.engine import file_url
from headrace.adapters.sql.move import SqlMoveControl, SqlMoveInto
from headrace.adapters.sql.shared_secret import SqlSharedSecret
from headrace.adapters.sqlite.move import SqliteMoveQueue
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.errors import Conflict, Unusable
from headrace.kit.ids import uuid7
from headrace.kit.times import DAY, SECOND
from headrace.model.block import Block
from headrace.model.move import EventPage, Memory
from headrace.model.query import EVERYTHING, Search
from tests.contract.batches import NOON, batch_of, event
from tests.contract.records import audited, record

ODD = '{"n": %s, "t": "a \\"quoted\\" \\u00fc", "deep": [[1, null], true]}' % ("9" * 400)


@dataclass
class Both:
    """A store in a file, filled by the test and then closed; and where it moves to."""

    file: Path
    url: str
    clock: MemoryClock

    async def fill(self, work: Callable[[DuckDBEvents], Awaitable[Any]]) -> None:
        store = await DuckDBEvents.open(DuckDBOptions(self.file, threads=1), self.clock)
        try:
            await work(store)
        finally:
            await store.close()

    async def source(self) -> DuckDBMoveEvents:
        return await DuckDBMoveEvents.open(DuckDBOptions(self.file, threads=1, read_only=True))


@pytest.fixture
def both(tmp_path: Path, postgres_url: str) -> Both:
    return Both(tmp_path / "events.duckdb", postgres_url, MemoryClock(NOON))


@pytest.fixture
async def into(both: Both) -> AsyncIterator[PostgresMoveEvents]:
    target = await PostgresMoveEvents.open(both.url, both.clock)
    yield target
    await target.close()


async def move_all(source: DuckDBMoveEvents, into: PostgresMoveEvents, name: str = "a") -> list[EventPage]:
    """As the feature does it; the pages."""
    counts = await source.counts()
    reached = await into.begin(name, counts.days)
    pages = [page async for page in source.pages(reached["events"])]
    for page in pages:
        await into.write(page)
    for memory in Memory:
        async for remembered in source.remembered(memory, reached[memory]):
            await into.remember(memory, remembered)
    await into.finish(counts.last_seq)
    return pages


async def test_events_arrive_as_they_were_with_their_positions(both: Both, into: PostgresMoveEvents) -> None:
    async def some(store: DuckDBEvents) -> None:
        await store.write(
            batch_of(
                event(message="one", attributes=ODD, actor_id="u-1", actor_type="user", trace_id="t", level="error"),
                event(message="two", time=NOON - 40 * DAY, received_at=NOON + 7),
                event(message="elsewhere", bucket=2, time=1),
            )
        )
        await store.write(batch_of(event(message="", attributes="{}", outcome="failure", span_id="s")))

    await both.fill(some)
    source = await both.source()
    await move_all(source, into)
    assert await into.counts() == (await source.counts()).buckets == {1: 3, 2: 1}
    await source.close()
    here = await DuckDBEvents.open(DuckDBOptions(both.file, threads=1), both.clock)
    there = await PostgresEvents.open(PostgresOptions(both.url), both.clock)
    try:
        for number in (1, 2):
            wanted = await here.search(Search(number, EVERYTHING, limit=10))
            assert list(await there.search(Search(number, EVERYTHING, limit=10))) == list(wanted)
        assert await there.after(1, EVERYTHING, 1, 10) == await here.after(1, EVERYTHING, 1, 10)
        assert await there.bucket_stats(1) == await here.bucket_stats(1)
    finally:
        await here.close()
        await there.close()


async def test_no_position_id_or_block_is_used_again(both: Both, into: PostgresMoveEvents) -> None:
    block, first = uuid7(NOON), uuid7(NOON)
    ids = [event(id=first + number) for number in range(5)]

    async def some(store: DuckDBEvents) -> None:
        await store.write(batch_of(*ids, event(id=first + 9), block=block, chosen=[(0, 5), (5, 1)]))
        await store.write(batch_of(event(bucket=3)))
        await store.delete_bucket(3)

    await both.fill(some)
    source = await both.source()
    await move_all(source, into)
    await source.close()
    there = await PostgresEvents.open(PostgresOptions(both.url), both.clock)
    try:
        again = await there.write(batch_of(event(), block=block))
        assert again.stored == 0
        known = event(id=first + 3), event(id=first + 9)
        repeated = await there.write(batch_of(*known, event(), chosen=[(0, 1), (1, 1)]))
        assert (repeated.kept, repeated.first_seq) == ([2], 8)
    finally:
        await there.close()


async def test_what_is_remembered_is_forgotten_when_its_time_comes(both: Both, into: PostgresMoveEvents) -> None:
    chosen = uuid7(NOON)
    await both.fill(lambda store: store.write(batch_of(event(id=chosen), chosen=[(0, 1)])))
    source = await both.source()
    await move_all(source, into)
    await source.close()
    there = await PostgresEvents.open(PostgresOptions(both.url), both.clock)
    try:
        await there.forget(0, NOON)
        assert (await there.write(batch_of(event(id=chosen), chosen=[(0, 1)]))).stored == 0
        await there.forget(0, NOON + SECOND)
        assert (await there.write(batch_of(event(id=chosen), chosen=[(0, 1)]))).stored == 1
    finally:
        await there.close()


async def test_pages_are_short_in_rows_and_in_bytes_and_skip_gaps(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_move, "_ROWS", 10)
    monkeypatch.setattr(duckdb_move, "_BYTES", 3_000)

    async def some(store: DuckDBEvents) -> None:
        await store.write(batch_of(*(event(message=str(number)) for number in range(25))))
        await store.write(batch_of(*(event(bucket=3) for _ in range(100))))
        await store.write(batch_of(*(event(message="x" * 1_000) for _ in range(7))))
        await store.delete_bucket(3)

    await both.fill(some)
    source = await both.source()
    pages = [page async for page in source.pages(0)]
    await source.close()
    assert [seq for page in pages for seq in page.seqs] == [*range(1, 26), *range(126, 133)]
    assert max(len(page.seqs) for page in pages) == 10
    assert max(sum(len(text or "") for text in page.events.message) for page in pages) <= 3_000
    assert [page.after for page in pages] == [0, *(page.upto for page in pages[:-1])]


async def test_a_page_goes_only_behind_the_one_before(both: Both, into: PostgresMoveEvents) -> None:
    await both.fill(lambda store: store.write(batch_of(event(), event())))
    source = await both.source()
    (page,) = await move_all(source, into)
    with pytest.raises(Conflict, match="before the copy was finished"):
        await into.write(page)
    await source.close()
    assert await into.counts() == {1: 2}


async def test_a_store_with_other_events_is_refused(both: Both, into: PostgresMoveEvents) -> None:
    await into.look("a")
    there = await PostgresEvents.open(PostgresOptions(both.url), both.clock)
    await there.write(batch_of(event()))
    await there.close()
    with pytest.raises(Conflict, match="empty database"):
        await into.look("a")


async def test_only_the_move_that_began_goes_on(into: PostgresMoveEvents) -> None:
    await into.begin("a", {})
    await into.look("a")
    with pytest.raises(Conflict, match="another data directory"):
        await into.look("b")
    with pytest.raises(Conflict, match="another data directory"):
        await into.begin("b", {})


async def test_blocks_move_in_order_under_their_ids_however_often(tmp_path: Path, postgres_url: str) -> None:
    clock = MemoryClock(NOON)
    blocks = [Block(uuid7(NOON + number), bytes([number]) * 1_000, number) for number in range(1, 20)]
    here = await SqliteQueue.open(tmp_path / "queue.db", clock)
    for block in blocks:
        await here.put(block)
    await here.close()
    source = SqliteMoveQueue(tmp_path / "queue.db")
    into = await PostgresMoveQueue.open(postgres_url, clock)
    await into.begin("a")
    for _ in range(2):
        await into.replace(source.pages())
        assert await into.count() == await source.count() == 19
    await into.close()
    there = await PostgresQueue.open(postgres_url, clock)
    assert [one.block for one in await there.receive(1_000, 1)] == blocks
    await there.close()


@pytest.fixture
async def controls(tmp_path: Path, postgres_url: str) -> AsyncIterator[tuple[ControlDatabase, SqlMoveInto]]:
    here = await ControlDatabase.open(file_url(tmp_path / "control.db"))
    into = await SqlMoveInto.open(postgres_url, MemoryClock(NOON))
    yield here, into
    await into.close()
    await here.close()


async def finish(source: SqlMoveControl, into: SqlMoveInto, secret: str | None = None) -> None:
    await into.finish(await source.source(), source.pages(), await source.highest(), secret)


async def test_control_data_move_with_their_ids_and_the_secret(
    controls: tuple[ControlDatabase, SqlMoveInto], postgres_url: str
) -> None:
    here, into = controls
    buckets = SqlBuckets(here)
    for name in ("_audit", "kept", "gone"):
        await buckets.create(name, "", 30, 5, None)
    await buckets.delete("gone", record(1))
    source = SqlMoveControl(here)
    name = await source.source()
    assert await into.finished_at(name) is None
    await finish(source, into, "s" * 43)
    assert await into.finished_at(name) is not None
    assert await into.counts() == await source.counts()
    there = await ControlDatabase.open(postgres_url)
    try:
        assert list(await SqlBuckets(there).list()) == list(await buckets.list())
        assert (await SqlBuckets(there).create("new", "", None, 6, record(2))).id == 4
        assert await audited(there) == [1, 2], "what was not forwarded yet will be, in its order"
        assert await SqlSharedSecret(there).find() == "s" * 43
    finally:
        await there.close()


async def test_control_data_of_others_are_refused_and_stay(
    controls: tuple[ControlDatabase, SqlMoveInto], postgres_url: str
) -> None:
    here, into = controls
    await SqlBuckets(here).create("_audit", "", None, 5, None)
    there = await ControlDatabase.open(postgres_url)
    await SqlBuckets(there).create("theirs", "", None, 5, None)
    with pytest.raises(Conflict, match="empty database"):
        await into.look("a")
    with pytest.raises(Conflict, match="empty database"):
        await finish(SqlMoveControl(here), into)
    assert [one.name for one in await SqlBuckets(there).list()] == ["theirs"]
    await there.close()


async def test_a_finished_move_is_not_begun_by_another(controls: tuple[ControlDatabase, SqlMoveInto]) -> None:
    here, into = controls
    await SqlBuckets(here).create("_audit", "", None, 5, None)
    await finish(SqlMoveControl(here), into)
    with pytest.raises(Conflict, match="another data directory"):
        await into.finished_at("another")


async def test_where_no_server_ever_ran_there_is_nothing_to_move(
    controls: tuple[ControlDatabase, SqlMoveInto],
) -> None:
    with pytest.raises(Unusable, match="nothing to copy"):
        await SqlMoveControl(controls[0]).source()
