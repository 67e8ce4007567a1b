"""The spool with a real PostgreSQL and real files: both are killed, and nothing is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.adapters.postgres.queue import PostgresQueue
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.adapters.sqlite.spool import SpoolFolder
from headrace.adapters.system.clock import SystemClock
from headrace.errors import Unavailable
from headrace.ingest.spooled_queue import SpooledQueue
from headrace.model.block import Block
from tests.support.postgres import Cluster
from tests.support.spool_process import spooled_queue

ROOT = Path(__file__).resolve().parents[2]
CLOCK = SystemClock()
SIZE = 1 << 30


class Producer:
    """The process of tests/support/spool_process.py, and what it said."""

    def __init__(self, url: str, folder: Path, first: int) -> None:
        self.said: list[int] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.spool_process", url, str(folder), str(first)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(int(line))

    def until(self, more: int, seconds: float = 60) -> None:
        """Until it has said so many more."""
        want, deadline = len(self.said) + more, time.monotonic() + seconds
        while len(self.said) < want:
            assert time.monotonic() < deadline, f"only {len(self.said)} of {want} were acknowledged"
            time.sleep(0.01)

    def kill(self) -> list[int]:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        return self.said


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster().create()
    try:
        yield made.start()
    finally:
        made.close()


async def forwarded(url: str, spool: Path) -> list[int]:
    """Forward all that is left, and receive all that there is."""
    queue, _ = await spooled_queue(url, spool)
    try:
        async with asyncio.timeout(60):
            await _forward_all(queue)
        assert (await queue.spooled()).blocks == 0
        found: list[int] = []
        while part := await queue.receive(1_000_000, 0):
            found += [one.block.id for one in part]
            await queue.ack(part)
        return found
    finally:
        await queue.close()


async def _forward_all(queue: SpooledQueue) -> None:
    moved = 1
    while moved or (await queue.spooled()).blocks:
        try:
            moved = await queue.forward_step(0)
        except Unavailable:
            await asyncio.sleep(0.2)
    await queue.forward_step(0)  # what is left of an orphan is removed


def block(number: int) -> Block:
    return Block(number, b"x" * 100, 10)


async def test_nothing_acknowledged_is_lost_while_server_and_process_are_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    producer = Producer(cluster.url(), tmp_path, 1)
    producer.until(50)
    cluster.kill()
    producer.until(200)  # it goes on without the server
    first = producer.kill()
    producer = Producer(cluster.url(), tmp_path, 100_000)
    producer.until(100)  # it begins without the server
    cluster.start()
    producer.until(300)  # goes over to the server while it forwards
    cluster.kill()
    producer.until(100)
    cluster.start()
    producer.until(200)
    second = producer.kill()
    found = await forwarded(cluster.url(), tmp_path)
    lost = set(first + second) - set(found)
    assert not lost
    # Twice in the queue, and once in the store, are those whose outcome was unknown or whose forwarder was killed.
    assert len(found) - len(set(found)) < 100


async def test_what_is_spooled_reaches_the_server_in_order_once_it_is_back(cluster: Cluster, tmp_path: Path) -> None:
    queue, _ = await spooled_queue(cluster.url(), tmp_path)
    try:
        await queue.put(block(0))
        cluster.kill()
        began = time.monotonic()
        for number in range(1, 300):
            await queue.put(block(number))
        assert time.monotonic() - began < 15  # one of them met the timeout, not each
        cluster.start()
        moved = 0
        async with asyncio.timeout(20):
            while moved < 299:
                try:
                    moved += await queue.forward_step(0)
                except Unavailable:
                    await asyncio.sleep(0.1)
        found = [one.block.id for one in await queue.receive(1_000_000, 0)]
        assert [number for number in found if number] == list(range(1, 300))
    finally:
        await queue.close()


# --- folders ---------------------------------------------------------------------------------------------------------


async def test_each_process_has_a_folder_of_its_own_and_takes_the_first_again(tmp_path: Path) -> None:
    one = await SpoolFolder.take(tmp_path, CLOCK, SIZE)
    other = await SpoolFolder.take(tmp_path, CLOCK, SIZE)
    assert (one.path.name, other.path.name) == ("0", "1")
    await one.queue.put(block(1))
    await one.close()
    again = await SpoolFolder.take(tmp_path, CLOCK, SIZE)
    assert again.path.name == "0"
    assert (await again.queue.depth()).blocks == 1
    await other.close()
    await again.close()


async def test_blocks_of_a_process_that_is_gone_are_adopted_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    mine, living, gone = [await SpoolFolder.take(tmp_path, CLOCK, SIZE) for _ in range(3)]
    await living.queue.put(block(1))
    await gone.queue.put(block(2))
    assert await mine.orphan(CLOCK) is None
    await gone.close()
    orphan = await mine.orphan(CLOCK)
    assert orphan is not None
    assert [one.block.id for one in await orphan.queue.receive(100, 0)] == [2]
    assert await living.orphan(CLOCK) is None  # it is adopted already
    await orphan.discard()
    assert await mine.orphan(CLOCK) is None
    await mine.close()
    await living.close()


async def test_a_spool_that_cannot_be_read_does_not_keep_the_others_from_being_adopted(tmp_path: Path) -> None:
    mine, broken, gone = [await SpoolFolder.take(tmp_path, CLOCK, SIZE) for _ in range(3)]
    await gone.queue.put(block(2))
    await broken.close()
    await gone.close()
    (broken.path / "queue.db").write_bytes(b"this is no database at all, but long enough" * 100)
    orphan = await mine.orphan(CLOCK)
    assert orphan is not None
    assert orphan.path == gone.path
    await orphan.close()
    await mine.close()


async def test_a_process_that_takes_the_folder_of_a_dead_one_forwards_its_blocks(
    postgres_url: str, tmp_path: Path
) -> None:
    left = await SqliteQueue.open(_made(tmp_path / "0") / "queue.db", CLOCK)
    await left.put(block(1))
    await left.close()
    other = await SqliteQueue.open(_made(tmp_path / "7") / "queue.db", CLOCK)
    await other.put(block(2))
    await other.close()
    assert sorted(await forwarded(postgres_url, tmp_path)) == [1, 2]
    assert not list((tmp_path / "7").glob("*.db*"))


async def test_a_queue_that_may_be_away_at_first_is_used_once_it_is_there(cluster: Cluster) -> None:
    cluster.stop()
    with pytest.raises(Unavailable):
        await PostgresQueue.open(cluster.url(), CLOCK)
    queue = await PostgresQueue.open(cluster.url(), CLOCK, may_be_away=True)
    try:
        with pytest.raises(Unavailable):
            await queue.put(block(1))
        cluster.start()
        await asyncio.sleep(0.1)
        await queue.put(block(2))
        assert [one.block.id for one in await queue.receive(100, 0)] == [2]
    finally:
        await queue.close()


def _made(path: Path) -> Path:
    path.mkdir()
    return path
