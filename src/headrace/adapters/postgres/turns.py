"""Writers of a shard take turns. One that was stopped, or whose machine is gone, must not keep its turn: PostgreSQL has
no time limit for a client that falls silent in the middle of a COPY, and TCP notices after minutes. So whoever waits
for long looks whether the one whose turn it is says anything, and else ends its connection. Nothing was committed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from headrace.adapters.postgres.database import Database
from headrace.adapters.postgres.partitions import LOCK
from headrace.errors import Unavailable

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 5.0
_LOOKS = 3  # that find no movement: 10 s of silence, where a writer's own pauses are a few milliseconds
_ASK_SECONDS = 3.0

# The one that has the lock, if it is the client's turn to speak; everything here changes with each statement, or with
# the bytes of a COPY.
_SILENT = """
SELECT holder.pid, holder.backend_start, holder.state_change, coalesce(progress.bytes_processed, 0)
FROM pg_locks JOIN pg_stat_activity AS holder USING (pid) LEFT JOIN pg_stat_progress_copy AS progress USING (pid)
WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = %s AND objsubid = 1
    AND holder.datname = current_database() AND holder.wait_event = 'ClientRead'
"""
_END = "SELECT pg_terminate_backend(%s)"


class Turns:
    """`database` has a connection left while one waits on another of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watches: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Around the wait for one's turn."""
        mine = asyncio.Event()
        watch = asyncio.create_task(self._watch(mine), name="turns")
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        try:
            yield
        finally:
            mine.set()  # not cancelled: a question to the server that is cut off costs a connection

    async def _watch(self, mine: asyncio.Event) -> None:
        looks: list[set[tuple[Any, ...]]] = []
        while not await _is_set_within(mine, _LOOK_SECONDS):
            with suppress(Unavailable):
                looks = [*looks, await self._silent()][-_LOOKS:]
                if len(looks) == _LOOKS and not mine.is_set():
                    await self._end(set.intersection(*looks))

    async def _silent(self) -> set[tuple[Any, ...]]:
        async with self._database.asking(_ASK_SECONDS) as connection:
            return set(await (await connection.execute(_SILENT, (LOCK,))).fetchall())

    async def _end(self, stuck: set[tuple[Any, ...]]) -> None:
        for pid, *_ in stuck:
            _log.warning("a writer has been silent for long while others wait: its connection (%d) is ended", pid)
            async with self._database.asking(_ASK_SECONDS) as connection:
                await connection.execute(_END, (pid,))


async def _is_set_within(event: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
