"""Blocks put into the queue of a server past its doors: what no client could send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from headrace.adapters.system.clock import SystemClock
from headrace.kit.ids import uuid7
from headrace.model.block import Block
from headrace.ports.clock import Clock
from headrace.ports.queue import Queue
from tests.support.server import Server


async def put_blocks(server: Server, *payloads: bytes) -> None:
    """One event each, as they say. A file has one owner: `server` has been stopped."""
    clock = SystemClock()
    async with _queue_of(server, clock) as queue:
        for payload in payloads:
            await queue.put(Block(uuid7(clock.now()), payload, 1))


@asynccontextmanager
async def _queue_of(server: Server, clock: Clock) -> AsyncIterator[Queue]:
    queue: Queue
    if server.database_url:
        from headrace.adapters.postgres.queue import PostgresQueue

        queue = await PostgresQueue.open(server.database_url, clock)
    else:
        from headrace.adapters.sqlite.queue import SqliteQueue

        queue = await SqliteQueue.open(server.data_dir / "queue.db", clock)
    try:
        yield queue
    finally:
        await queue.close()
