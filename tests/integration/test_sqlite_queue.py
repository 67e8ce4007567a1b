"""What only the embedded queue can show: its files, its faults, its space."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import apsw
import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.sqlite import _files
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.errors import NewerFormat, OutcomeUnknown, Unavailable, Unusable
from headrace.model.block import Block
from tests.support.faulty_vfs import FaultyVfs, faulty_vfs

CLOCK = MemoryClock()


def block(number: int, size: int = 5000) -> Block:
    return Block(number, number.to_bytes(8) * (size // 8), 10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def disk() -> Iterator[FaultyVfs]:
    with faulty_vfs() as vfs:
        yield vfs


@pytest.fixture
async def queue(path: Path, disk: FaultyVfs, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteQueue]:
    """A queue on the faulty disk that tries a broken file again at once."""
    monkeypatch.setattr(_files, "_RETRY_SECONDS", 0.0)
    opened = await SqliteQueue.open(path, CLOCK, vfs="faulty")
    yield opened
    await opened.close()


async def received(queue: SqliteQueue) -> list[int]:
    """Ids of all that can be received, in order."""
    return [one.block.id for one in await queue.receive(1_000_000, 0)]


async def content(path: Path) -> list[int]:
    """Ids of all that the files hold."""
    queue = await SqliteQueue.open(path, CLOCK)
    try:
        return await received(queue)
    finally:
        await queue.close()


async def idle(queue: SqliteQueue) -> None:
    """Until the thread has nothing left to tidy up."""
    files = queue._writer._files
    for _ in range(300):
        if not await queue._writer.call(lambda: files.has_work):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the queue's thread does not come to rest")


# --- space -----------------------------------------------------------------------------------------------------------


async def test_filling_and_draining_again_and_again_uses_the_same_space(path: Path) -> None:
    queue = await SqliteQueue.open(path, CLOCK)
    sizes: list[int] = []
    for _ in range(6):
        await asyncio.gather(*(queue.put(block(number, 20_000)) for number in range(300)))
        while taken := await queue.receive(500, 0):
            await queue.ack(taken)
        await idle(queue)
        sizes.append(path.stat().st_size)
    await queue.close()
    assert sizes[-1] <= sizes[1]


async def test_the_wal_is_used_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "_WAL_BYTES", 1024 * 1024)
    queue = await SqliteQueue.open(path, CLOCK)
    for number in range(1000):
        await queue.put(block(number))
        await queue.ack(await queue.receive(100, 0))
    assert path.with_name("queue.db-wal").stat().st_size < 2 * 1024 * 1024
    await queue.close()


async def test_an_empty_queue_gives_the_space_of_a_backlog_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "_SHRINK_BYTES", 1024 * 1024)
    queue = await SqliteQueue.open(path, CLOCK)
    for number in range(20):
        await queue.put(block(number, 200_000))
    while taken := await queue.receive(500, 0):
        await queue.ack(taken)
    await idle(queue)
    await asyncio.sleep(0.3)
    assert sum(one.stat().st_size for one in path.parent.iterdir()) < 1024 * 1024
    await queue.put(block(7))
    assert await received(queue) == [7]
    await queue.close()


async def test_a_backlog_larger_than_memory_keeps_is_read_back_from_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.adapters.sqlite.queue._PAYLOADS_IN_MEMORY", 20_000)
    queue = await SqliteQueue.open(path, CLOCK)
    put = [block(number, 400_000 if number % 7 == 0 else 4_000) for number in range(30)]
    for one in put:
        await queue.put(one)
    assert [one.block for one in await queue.receive(1_000, 0)] == put
    await queue.close()


# --- faults ----------------------------------------------------------------------------------------------------------


async def test_a_failed_fsync_has_an_unknown_outcome_and_the_next_file_goes_on(
    queue: SqliteQueue, disk: FaultyVfs, path: Path
) -> None:
    await queue.put(block(1))
    disk.sync_error = "queue.db-wal"
    with pytest.raises(OutcomeUnknown):
        await queue.put(block(2))
    await queue.put(block(3))
    assert path.with_name("queue-2.db").exists()
    assert await received(queue) == [1, 3]


async def test_a_file_whose_fsync_failed_is_never_synced_again(queue: SqliteQueue, disk: FaultyVfs) -> None:
    await queue.put(block(1))
    await queue.put(block(2))
    disk.sync_error = ("queue.db", "queue.db-wal")
    with pytest.raises(OutcomeUnknown):
        await queue.put(block(3))
    await queue.put(block(4))
    await queue.ack((await queue.receive(10, 0))[:1])
    await idle(queue)
    await queue.close()
    assert [what for what, _ in disk.failed] == ["sync"]


async def test_a_retired_file_goes_when_all_of_it_is_acked(queue: SqliteQueue, disk: FaultyVfs, path: Path) -> None:
    await queue.put(block(1))
    disk.sync_error = "queue.db-wal"
    with pytest.raises(OutcomeUnknown):
        await queue.put(block(2))
    await queue.put(block(3))
    await queue.ack((await queue.receive(10, 0))[:1])
    await idle(queue)
    assert not path.exists()
    assert not path.with_name("queue.db-wal").exists()


async def test_a_block_of_a_retired_file_survives_the_restart_and_the_unknown_one_may(
    queue: SqliteQueue, disk: FaultyVfs, path: Path
) -> None:
    await queue.put(block(1))
    disk.sync_error = "queue.db-wal"
    with pytest.raises(OutcomeUnknown):
        await queue.put(block(2))
    await queue.put(block(3))
    await queue.close()
    assert [one for one in await content(path) if one != 2] == [1, 3]


async def test_while_no_file_can_be_synced_the_answer_is_unavailable(queue: SqliteQueue, disk: FaultyVfs) -> None:
    await queue.put(block(1))
    disk.sync_error = ""
    for number in range(2, 5):
        with pytest.raises(Unavailable):
            await queue.put(block(number))
    assert await received(queue) == [1]
    disk.sync_error = None
    await queue.put(block(5))
    assert await received(queue) == [5]


async def test_a_failed_fsync_of_a_checkpoint_retires_the_file_too(
    queue: SqliteQueue, disk: FaultyVfs, path: Path
) -> None:
    queue._writer._files._wal_limit = 50_000
    disk.sync_error = "queue.db"
    for number in range(20):
        await queue.put(block(number))
    assert path.with_name("queue-2.db").exists()
    assert await received(queue) == list(range(20))


@pytest.mark.parametrize("nth", range(12))
async def test_a_disk_that_is_full_at_the_nth_write_stores_nothing_and_reads_go_on(
    queue: SqliteQueue, disk: FaultyVfs, path: Path, nth: int
) -> None:
    for number in range(10):
        await queue.put(block(number))
    disk.full, disk.writes_left = "", nth
    refused: dict[int, Unavailable] = {}
    for number in range(10, 20):
        try:
            await queue.put(block(number))
        except Unavailable as exc:
            refused[number] = exc
    stored = [number for number in range(20) if number not in refused]
    assert refused
    assert not any(isinstance(exc, OutcomeUnknown) for exc in refused.values())
    assert await received(queue) == stored
    disk.full = None
    await queue.put(block(20))
    await queue.close()
    assert await content(path) == [*stored, 20]


@pytest.mark.parametrize("nth", range(12))
async def test_a_write_error_loses_nothing_that_was_acked(
    queue: SqliteQueue, disk: FaultyVfs, path: Path, nth: int
) -> None:
    disk.write_error, disk.writes_left = "queue.db-wal", nth
    acked: list[int] = []
    for number in range(30):
        try:
            await queue.put(block(number))
        except Unavailable:
            continue
        acked.append(number)
    assert len(acked) >= 28
    await queue.close()
    assert [one for one in await content(path) if one in acked] == acked


async def test_on_a_full_disk_a_drained_queue_frees_its_space_by_itself(
    queue: SqliteQueue, disk: FaultyVfs, path: Path
) -> None:
    for number in range(10):
        await queue.put(block(number))
    disk.full = "queue.db-wal"
    await queue.ack(await queue.receive(1000, 0))
    with pytest.raises(Unavailable):
        await queue.put(block(10))
    await queue.put(block(11))
    assert await received(queue) == [11]
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tmpfs needs root")
async def test_a_small_disk_fills_refuses_and_recovers(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)):
        pytest.skip("this machine lets nobody mount")
    try:
        queue = await SqliteQueue.open(small / "queue.db", CLOCK)
        stored: list[int] = []
        for number in range(400):
            try:
                await queue.put(block(number, 40_000))
            except Unavailable:
                continue
            stored.append(number)
        assert 50 < len(stored) < 200
        taken = await queue.receive(1_000_000, 0)
        assert [one.block.id for one in taken] == stored
        await queue.ack(taken)
        await put_in_the_end(queue, block(999))
        await queue.receive(10, 0)  # and not acked: the file is never empty, and cannot simply be replaced
        for number in range(1000, 1400):
            await queue.put(block(number, 40_000))
            await queue.ack(await queue.receive(10, 0))
        await queue.close()
        assert await content(small / "queue.db") == [999]
    finally:
        run("umount", str(small))


async def put_in_the_end(queue: SqliteQueue, one: Block) -> None:
    for _ in range(100):
        try:
            await queue.put(one)
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            return
    raise AssertionError("the queue does not recover")


# --- files -----------------------------------------------------------------------------------------------------------


async def test_a_file_that_a_crash_left_takes_no_more_blocks(path: Path) -> None:
    crash(path, "1 2 3")
    queue = await SqliteQueue.open(path, CLOCK)
    await queue.put(block(4))
    taken = await queue.receive(1000, 0)
    assert [one.block.id for one in taken] == [1, 2, 3, 4]
    await queue.ack(taken[:3])
    await idle(queue)
    assert not path.exists()
    await queue.close()
    assert await content(path) == [4]


async def test_acks_in_a_file_that_a_crash_left_are_remembered(path: Path) -> None:
    crash(path, "1 2 3")
    queue = await SqliteQueue.open(path, CLOCK)
    await queue.ack((await queue.receive(1000, 0))[:2])
    await queue.close()
    assert await content(path) == [3]


async def test_a_queue_is_not_opened_twice(path: Path) -> None:
    queue = await SqliteQueue.open(path, CLOCK)
    with pytest.raises(Unusable, match="in use"):
        await SqliteQueue.open(path, CLOCK)
    await queue.close()


async def test_a_newer_format_is_refused(path: Path) -> None:
    await content(path)
    with apsw.Connection(str(path)) as connection:
        connection.pragma("user_version", 2)
    connection.close()
    with pytest.raises(NewerFormat, match="format 2"):
        await SqliteQueue.open(path, CLOCK)


async def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Unusable, match="another program"):
        await SqliteQueue.open(path, CLOCK)
    assert path.read_bytes() == before


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"not a database, whatever it says " * 1000)
    with pytest.raises(Unusable, match="not a queue of Headrace"):
        await SqliteQueue.open(path, CLOCK)


async def test_an_empty_file_left_by_a_crash_at_the_first_start_is_fine(path: Path) -> None:
    path.touch()
    queue = await SqliteQueue.open(path, CLOCK)
    await queue.put(block(1))
    await queue.close()
    assert await content(path) == [1]


async def test_a_backup_made_under_load_is_one_file_with_all_that_was_acked_before(
    queue: SqliteQueue, disk: FaultyVfs, tmp_path: Path
) -> None:
    for number in range(300):
        await queue.put(block(number, 20_000))
    disk.sync_error = "queue.db-wal"
    with pytest.raises(OutcomeUnknown):
        await queue.put(block(300))
    for number in range(301, 400):
        await queue.put(block(number, 20_000))
    folder = tmp_path / "backup"
    folder.mkdir()
    backup = asyncio.create_task(queue.backup(str(folder)))
    for number in range(400, 450):
        await queue.put(block(number))
    await backup
    assert [one.name for one in folder.iterdir()] == ["queue.db"]
    copied = await content(folder / "queue.db")
    assert [one for one in copied if one < 400] == [*range(300), *range(301, 400)]


# --- SIGKILL ---------------------------------------------------------------------------------------------------------

_PUTTER = """
import asyncio, os, sys
from pathlib import Path
from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.model.block import Block

def note(out, what, number):
    os.write(out, b"%s %d\\n" % (what, number))
    os.fdatasync(out)

async def put(queue, out, number):
    await queue.put(Block(number, number.to_bytes(8) * (number % 900), 10))
    note(out, b"acked", number)

async def main(path, log, numbers):
    queue = await SqliteQueue.open(Path(path), MemoryClock())
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if numbers != "endless":
        for number in numbers.split():
            await put(queue, out, int(number))
        os.kill(os.getpid(), 9)
    number = int(os.environ["FIRST"])
    while True:
        await asyncio.gather(*(put(queue, out, number + one) for one in range(7)))
        number += 7
        taken = (await queue.receive(100, 0))[:1]
        note(out, b"drained", taken[0].block.id)
        await queue.ack(taken)

asyncio.run(main(*sys.argv[1:]))
"""


def run(*command: str, **environment: str) -> int:
    """Its exit status."""
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


def crash(path: Path, numbers: str, **environment: str) -> None:
    """A process puts these blocks and is killed."""
    assert run(sys.executable, "-c", _PUTTER, str(path), f"{path}.log", numbers, **environment) == -signal.SIGKILL


def put_until_killed(path: Path, log: Path, cycle: int) -> None:
    """A process puts and acks blocks, and is killed a while after its hundredth."""
    environment = {**os.environ, "FIRST": str(cycle * 1_000_000)}
    process = subprocess.Popen([sys.executable, "-c", _PUTTER, str(path), str(log), "endless"], env=environment)
    while not log.exists() or log.read_text().count("\n") < (cycle + 1) * 100:
        time.sleep(0.01)
    time.sleep(0.013 * cycle)
    process.kill()
    process.wait()


async def test_every_acked_block_survives_sigkill_and_comes_until_it_is_acked(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "acked"
    for cycle in range(5):
        await asyncio.to_thread(put_until_killed, path, log, cycle)
    notes = [line.split() for line in log.read_text().split("\n")[:-1]]
    acked, drained = ({int(number) for said, number in notes if said == what} for what in ("acked", "drained"))
    queue = await SqliteQueue.open(path, CLOCK)
    found: list[int] = []
    while taken := await queue.receive(10_000, 0):
        assert all(one.block.payload == one.block.id.to_bytes(8) * (one.block.id % 900) for one in taken)
        found += [one.block.id for one in taken]
    await queue.close()
    assert len(found) == len(set(found))
    assert acked - drained <= set(found)


@pytest.mark.parametrize(("point", "survivors"), [("queue.before_commit", [1, 2]), ("queue.after_commit", [1, 2, 3])])
async def test_the_named_points_lie_before_and_after_the_commit(path: Path, point: str, survivors: list[int]) -> None:
    crash(path, "1 2 3 4", HEADRACE_FAILPOINT=f"{point}:3")
    assert await content(path) == survivors
