"""What can be planted in a server: bugs, which the checker must find, and faults, which Headrace must survive.

Each is a function that changes modules before the server starts. Nothing of this is in the program itself.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import apsw

from headrace import wiring
from headrace.adapters.duckdb.events import DuckDBEvents
from headrace.adapters.postgres import _queue_leases, _queue_tables, schema
from headrace.adapters.postgres import queue as postgres_queue
from headrace.adapters.postgres.events import PostgresEvents
from headrace.adapters.postgres.queue import PostgresQueue
from headrace.adapters.sqlite import _file
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.adapters.system.clock import SystemClock
from headrace.ingest.drain import Drain
from headrace.kit.times import DAY
from headrace.model.block import Block, Delivery
from headrace.model.event import EventBatch, Written
from headrace.tasks import runner
from tests.chaos.power import PowerCutVfs
from tests.chaos.tasks.plants import POSTGRES_TASK_BUGS, TASK_BUGS, TASK_FAULTS
from tests.support.faulty_vfs import FaultyVfs

_REGISTERED: list[apsw.VFS] = []  # a VFS lives as long as someone holds it


def _set(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


def _serve_queue_from(vfs: apsw.VFS, name: str) -> None:
    _REGISTERED.append(vfs)
    open_queue = SqliteQueue.open

    async def opened(*args: Any, **options: Any) -> SqliteQueue:
        return await open_queue(*args, **{**options, "vfs": name})

    _set(SqliteQueue, "open", opened)


# --- bugs ------------------------------------------------------------------------------------------------------------


def synchronous_off() -> None:
    """SQLite does not fsync, on a disk that forgets what was not fsynced."""
    power_cut()
    set_up = _file._set_up

    def without_fsync(connection: apsw.Connection, path: Any) -> None:
        set_up(connection, path)
        connection.execute("PRAGMA synchronous = OFF")

    _set(_file, "_set_up", without_fsync)


def ack_before_commit(kind: Any = SqliteQueue) -> None:
    """`put` answers at once, and commits a little later."""
    put = kind.put
    tasks = set()

    async def commit_later(queue: Any, block: Block) -> None:
        await asyncio.sleep(0.1)
        await put(queue, block)

    async def put_at_once(queue: Any, block: Block) -> None:
        task = asyncio.create_task(commit_later(queue, block))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    _set(kind, "put", put_at_once)


def queue_ack_before_store() -> None:
    """The drain acks, and writes to the store a little later."""
    store = Drain._store

    async def ack_first(drain: Drain, deliveries: Sequence[Delivery]) -> int:
        await drain._queue.ack(deliveries)
        await asyncio.sleep(0.3)
        return await store(drain, deliveries)

    _set(Drain, "_store", ack_first)


def no_dedup(kind: Any = DuckDBEvents) -> None:
    """The store forgets which ids clients chose."""
    write = kind.write

    async def write_all(events: Any, batch: EventBatch) -> Written:
        batch.chosen.clear()
        written: Written = await write(events, batch)
        return written

    _set(kind, "write", write_all)


def no_block_dedup(kind: Any = DuckDBEvents) -> None:
    """The store does not know a block that comes again."""
    write = kind.write

    async def write_all(events: Any, batch: EventBatch) -> Written:
        batch.blocks = [(random.getrandbits(120), bucket_id) for _, bucket_id in batch.blocks]
        written: Written = await write(events, batch)
        return written

    _set(kind, "write", write_all)


# --- faults ----------------------------------------------------------------------------------------------------------


def power_cut() -> None:
    """Every kill is a power cut, for the queue: what was not fsynced is gone."""
    _serve_queue_from(PowerCutVfs("power-cut"), "power-cut")


def fsync_fails() -> None:
    """An fsync of the queue fails now and then; what it was to bring to disk may be gone."""
    vfs = FaultyVfs("fsync-fails")
    _serve_queue_from(vfs, "fsync-fails")
    _fail_at_times(vfs, "sync_error")


def write_fails() -> None:
    """A write of the queue fails with EIO now and then."""
    vfs = FaultyVfs("write-fails")
    _serve_queue_from(vfs, "write-fails")
    _fail_at_times(vfs, "write_error")


def _fail_at_times(vfs: FaultyVfs, fault: str) -> None:
    strike = vfs.strike
    calls = 0

    def once_in_a_while(what: str, ends: Any, file: str) -> bool:
        nonlocal calls
        calls += 1
        _set(vfs, fault, "-wal" if calls % 211 == 210 else None)
        return strike(what, getattr(vfs, fault), file)

    _set(vfs, "strike", once_in_a_while)


def everything_twice() -> None:
    """The queue delivers every block twice or more, in any order, and old ones again."""
    receive = SqliteQueue.receive
    chance = random.Random(1)
    old: list[Delivery] = []

    async def receive_shuffled(queue: SqliteQueue, max_events: int, wait: float) -> Sequence[Delivery]:
        taken = list(await receive(queue, max_events, wait))
        if not taken:
            return taken
        again = [Delivery(one.block, one.receipt) for one in taken] + chance.sample(old, min(5, len(old)))
        old.extend(taken)
        del old[:-200]
        chance.shuffle(both := taken + again)
        return both

    _set(SqliteQueue, "receive", receive_shuffled)


def clock_jumps() -> None:
    """Wall-clock time jumps by a day, either way, all the time."""
    chance = random.Random(os.getpid())
    offset = 0

    class JumpingClock(SystemClock):
        def now(self) -> int:
            nonlocal offset
            if chance.random() < 0.02:
                offset = chance.choice((-DAY, 0, DAY))
            return super().now() + offset

    _set(wiring.adapters, "SystemClock", JumpingClock)


def short_leases() -> None:
    """What a process of the PostgreSQL profile had when it was killed is free after 2 s instead of 15; tasks, which no
    breaker and no slow machine may cost their lease, after 6."""
    _set(postgres_queue, "LEASE_SECONDS", 2.0)
    _set(_queue_leases, "_RENEW_SECONDS", 0.5)
    _set(runner, "LEASE_SECONDS", 6.0)
    _set(wiring.tasks, "BEAT_SECONDS", 1.0)


def next_version() -> None:
    """A Headrace whose tables have a column more, and whose migration takes its time with the locks it has."""
    for layout, tables in ((_queue_tables.LAYOUT, ("queue_blocks",)), (schema.LAYOUT, ("events", "event_days"))):
        changes = [f"ALTER TABLE {table} ADD COLUMN later integer" for table in tables]
        object.__setattr__(layout, "versions", [*layout.versions, [*changes, "SELECT pg_sleep(0.5)"]])


BUGS: dict[str, Callable[[], None]] = {
    "synchronous-off": synchronous_off,
    "ack-before-commit": ack_before_commit,
    "queue-ack-before-store": queue_ack_before_store,
    "no-dedup": no_dedup,
    "no-block-dedup": no_block_dedup,
}
FAULTS: dict[str, Callable[[], None]] = {
    "power-cut": power_cut,
    "fsync-fails": fsync_fails,
    "write-fails": write_fails,
    "everything-twice": everything_twice,
    "clock-jumps": clock_jumps,
}
POSTGRES_BUGS: dict[str, Callable[[], None]] = {
    "postgres-ack-before-commit": partial(ack_before_commit, PostgresQueue),
    "queue-ack-before-store": queue_ack_before_store,
    "postgres-no-dedup": partial(no_dedup, PostgresEvents),
    "postgres-no-block-dedup": partial(no_block_dedup, PostgresEvents),
}
PLANTS = {
    **BUGS, **FAULTS, **POSTGRES_BUGS, **TASK_BUGS, **POSTGRES_TASK_BUGS, **TASK_FAULTS, "short-leases": short_leases,
    "next-version": next_version,
}  # fmt: skip
