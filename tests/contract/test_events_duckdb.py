"""What the DuckDB store keeps under faults: a killed process, a full disk, slow and too many queries, other files."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions
from headrace.adapters.memory.clock import MemoryClock
from headrace.errors import NewerFormat, Overloaded, QueryTimeout, Unavailable, Unusable
from headrace.kit.ids import uuid7
from headrace.kit.times import SECOND
from headrace.model.event import ChosenIds, EventBatch
from headrace.model.query import EVERYTHING, EventFilter, Search, Word
from tests.contract.batches import NOON, batch_of, event

CLOCK = MemoryClock(NOON)


async def opened(directory: Path, **options: object) -> DuckDBEvents:
    return await DuckDBEvents.open(replace(DuckDBOptions(directory / "events.duckdb"), **options), CLOCK)  # type: ignore[arg-type]  # a test's own options


def many(count: int, start: int = 0) -> EventBatch:
    """`count` events of one second each, with texts that do not compress to nothing."""
    rng = random.Random(start)
    batch = batch_of(*(event(time=NOON + (start + n) * SECOND, message=f"{rng.random()}") for n in range(1_000)))
    for name in EventBatch.__slots__:
        column = getattr(batch, name)
        if name not in {"blocks", "block_rows", "chosen"}:
            setattr(batch, name, column * (count // 1_000))
    for place in range(count):
        batch.id_lo[place] = (start + place) ^ (1 << 63)
    return batch


# Killed

WRITER = """
import asyncio, sys
from pathlib import Path
from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions
from headrace.adapters.memory.clock import MemoryClock
from headrace.kit.ids import uuid7
from tests.contract.batches import NOON, batch_of, event
from headrace.model.event import ChosenIds

async def main(path, size, start):
    # A small log, so that kills hit checkpoints too.
    store = await DuckDBEvents.open(DuckDBOptions(Path(path), checkpoint_bytes=1 << 20), MemoryClock(NOON))
    number = start
    while True:
        block = (1 << 100) + (number << 80)
        rows = [event(message=f"{number}", bucket=1, id=(number << 64) + row) for row in range(size)]
        batch = batch_of(*rows, block=block)
        batch.chosen = [ChosenIds(0, size)]
        written = await store.write(batch)
        print(number, written.first_seq, flush=True)
        if number % 7 == 3:
            await store.delete_before(1, NOON - 1)
        number += 1

asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
"""


def _write_until_killed(directory: Path, size: int, start: int, seconds: float) -> dict[int, int]:
    """The numbers of the batches that were acknowledged, and their first positions."""
    command = [sys.executable, "-c", WRITER, str(directory / "events.duckdb"), str(size), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    return {int(number): int(seq) for number, seq in (line.split() for line in lines if line.endswith("\n"))}


@pytest.mark.parametrize("size", [40, 4_000])
async def test_what_was_acknowledged_outlives_sigkill_and_nothing_is_there_in_part(tmp_path: Path, size: int) -> None:
    rng = random.Random(size)
    acked: dict[int, int] = {}
    for _ in range(4):
        acked |= await asyncio.to_thread(_write_until_killed, tmp_path, size, len(acked), rng.uniform(0.1, 0.6))
        store = await opened(tmp_path)
        page, _ = await store.after(1, EVERYTHING, 0, 10_000_000)
        counts = Counter(int(one.message or -1) for one in page)
        assert set(counts.values()) == {size}
        assert acked.keys() <= counts.keys()
        assert [one.seq for one in page] == list(range(1, len(page) + 1))
        assert {number: page[first - 1].message for number, first in acked.items()} == {n: str(n) for n in acked}
        blocks = {(1 << 100) + (number << 80) for number in counts}
        assert await store.stored_blocks(blocks, 1) == blocks
        acked = {int(page[place].message or -1): page[place].seq for place in range(0, len(page), size)}
        await store.close()


# Disk full


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writes beyond this size of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def chosen(batch: EventBatch) -> EventBatch:
    """The same, with ids that a client chose."""
    batch.chosen = [ChosenIds(0, len(batch))]
    return batch


async def _is_written(store: DuckDBEvents, batch: EventBatch) -> bool:
    try:
        return (await store.write(batch)).stored == len(batch)
    except Unavailable:
        return False


@pytest.mark.parametrize("size", [2_000, 123_000], ids=["through the log", "past the log"])
async def test_on_a_full_disk_reads_go_on_and_writes_resume_without_loss_or_doubles(tmp_path: Path, size: int) -> None:
    store = await opened(tmp_path, checkpoint_bytes=1 << 20)
    stored = 0
    with largest_file(3 << 20):
        while await _is_written(store, batch := chosen(many(size, stored))):
            stored += size
        for _ in range(3):
            assert len(await store.search(Search(1, limit=5))) == min(stored, 5)
            with pytest.raises(Unavailable):
                await store.write(batch)
    assert (await store.write(batch)).stored == size
    assert (await store.write(batch)).stored == 0
    assert (await store.size())[0] == (await store.bucket_stats(1)).events == stored + size
    await store.close()
    store = await opened(tmp_path)
    assert (await store.size())[0] == stored + size
    assert await store.last_seq(1) == stored + size
    await store.close()


async def test_a_backup_on_a_full_disk_fails_and_leaves_the_store_as_it_was(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.write(many(50_000))
    (tmp_path / "copy").mkdir()
    with largest_file(1 << 20), pytest.raises(Unavailable):
        await store.backup(str(tmp_path / "copy"))
    await store.backup(str(tmp_path / "copy"))
    assert (await store.write(batch_of(event(message="x")))).stored == 1
    await store.close()


async def test_after_a_backup_the_log_goes_into_the_file_again(tmp_path: Path) -> None:
    store = await opened(tmp_path, checkpoint_bytes=1 << 20)
    (tmp_path / "copy").mkdir()
    await store.backup(str(tmp_path / "copy"))
    log = tmp_path / "events.duckdb.wal"
    for number in range(4):
        await store.write(many(10_000, number * 10_000))
        assert not log.exists() or log.stat().st_size < 4 << 20
    await store.close()


# Bounded reads

SLOW = EventFilter(texts=tuple((Word(f"n{number}o"),) for number in range(60)))
"""Finds nothing, and takes about a second in 200,000 events."""


async def test_a_slow_query_is_stopped_and_the_next_one_works(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.write(many(200_000))
    store._readers._timeout = 0.02
    with pytest.raises(QueryTimeout):
        await store.histogram(1, SLOW, 1_000_000, "level")
    store._readers._timeout = 20
    assert list(await store.histogram(1, SLOW, 1_000_000, "level")) == []
    await store.close()


async def test_a_cancelled_query_gives_its_place_back(tmp_path: Path) -> None:
    store = await opened(tmp_path, max_reads=1, max_waiting=0)
    await store.write(many(100_000))
    task = asyncio.create_task(store.histogram(1, SLOW, 1, None))
    await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        while True:
            try:
                assert await store.get(1, 5) is None
                break
            except Overloaded:
                await asyncio.sleep(0.01)
    await store.close()


async def test_too_many_queries_at_once_are_refused(tmp_path: Path) -> None:
    store = await opened(tmp_path, max_reads=1, max_waiting=2)
    await store.write(many(10_000))
    answers = await asyncio.gather(*(store.latest(1, 5) for _ in range(10)), return_exceptions=True)
    refused = [one for one in answers if isinstance(one, Overloaded)]
    assert len(refused) == 7
    assert len(await store.latest(1, 5)) == 5
    await store.close()


@pytest.mark.parametrize("begin", [False, True], ids=["a query", "a transaction"])
async def test_an_open_read_keeps_neither_writes_nor_deletes_waiting(tmp_path: Path, begin: bool) -> None:
    store = await opened(tmp_path, checkpoint_bytes=1 << 20)
    await store.write(many(130_000))
    reader = store._database.cursor()
    if begin:
        reader.begin()
    reading = reader.execute("SELECT message FROM events")
    assert len(reading.fetchmany(5)) == 5
    async with asyncio.timeout(20):
        for number in range(1, 6):
            await store.write(many(20_000, number * 1_000_000))
        assert await store.delete_before(1, NOON + 130_000 * SECOND) == 130_000
    assert sum(len(page) for page in iter(lambda: reading.fetchmany(10_000), [])) == 129_995
    reader.close()
    assert (await store.size())[0] == 100_000
    await store.close()


async def test_closing_stops_what_runs(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await store.write(many(200_000))
    query = asyncio.create_task(store.histogram(1, SLOW, 1, None))
    await asyncio.sleep(0.005)
    await store.close()
    with pytest.raises(QueryTimeout):
        await query
    with pytest.raises(Unavailable):
        await store.latest(1, 1)


# Space


async def test_the_space_of_deleted_events_is_used_again(tmp_path: Path) -> None:
    store = await opened(tmp_path, checkpoint_bytes=4 << 20)
    sizes, size = [], 125_000
    for cycle in range(7):
        await store.write(many(size, cycle * size))
        await store.delete_before(1, NOON + 100_000_000 * SECOND)
        sizes.append((await store.size())[1])
    assert max(sizes[3:]) <= 1.3 * max(sizes[:3]), sizes
    await store.close()


# Files of others


async def test_a_file_of_a_newer_format_is_a_clear_error(tmp_path: Path) -> None:
    await (await opened(tmp_path)).close()
    with duckdb.connect(str(tmp_path / "events.duckdb")) as connection:
        connection.execute("UPDATE meta SET value = 99 WHERE key = 'format'")
    with pytest.raises(NewerFormat, match="format 99"):
        await opened(tmp_path)


@pytest.mark.parametrize("content", [b"hello " * 5_000, b"SQLite format 3\x00" + bytes(8_192)])
async def test_a_file_of_another_kind_is_a_clear_error_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "events.duckdb"
    path.write_bytes(content)
    with pytest.raises(Unusable):
        await opened(tmp_path)
    assert path.read_bytes() == content


async def test_a_block_id_of_the_same_time_in_another_order_is_not_taken_for_stored(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    one, other = sorted((uuid7(NOON), uuid7(NOON)))
    await store.write(batch_of(event(message="a"), block=other))
    assert (await store.write(batch_of(event(message="b"), block=one))).stored == 1
    await store.close()
