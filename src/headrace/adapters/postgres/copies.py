"""Which server answers a read: a streaming replica that is near enough behind, else the primary.

A replica has replayed every commit up to some point of the primary's log. How far that is behind in seconds is told by
when the primary itself was there: its place in the log is looked at once a second, so no other machine's clock counts.
A position (`seq`) grows in the order of commits, so a replica whose newest position is not below it has that commit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from psycopg import errors

from headrace.adapters.postgres.database import Connection, Database
from headrace.adapters.postgres.faults import is_failure
from headrace.adapters.postgres.readers import Readers
from headrace.errors import HeadraceError, Unavailable
from headrace.kit.breaker import State
from headrace.ports.clock import Clock

_log = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]

_LOOK_SECONDS = 1.0
_ASK_SECONDS = 3.0
_REMEMBERED = 900  # looks at the primary: a quarter of an hour
_PRIMARY = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, (SELECT last_seq FROM event_position)"
# NULL where the server is no replica any more: it was promoted, and is behind nobody.
_REPLICA = """
SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn, (SELECT last_seq FROM event_position) WHERE pg_is_in_recovery()
"""


@dataclass(slots=True)
class Copy:
    """A replica as of the last look. `lag` in seconds; infinite before the first look, and while it is away."""

    database: Database
    readers: Readers
    lag: float = float("inf")
    position: int = 0


class Copies:
    """`run` gives a read to one of them. `open` and `close` it."""

    def __init__(
        self, primary: Copy, source: Database, replicas: Sequence[Copy], clock: Clock, max_lag: float
    ) -> None:
        """`source` is the primary, looked at on connections that no read can take; `max_lag` in seconds."""
        self._primary = primary
        self._source = source
        self._replicas = replicas
        self._monotonic = clock.monotonic
        self._max_lag = max_lag
        self._seen: deque[tuple[float, int]] = deque(maxlen=_REMEMBERED)  # when the primary was where in its log
        self._turn = count()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self._primary.database.open()
        for copy in self._replicas:
            await copy.database.open()
        if self._replicas:
            await self._look()
            self._task = asyncio.create_task(self._watch(), name="replicas")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for copy in (*self._replicas, self._primary):
            await copy.readers.close()
            await copy.database.close()

    async def run(self, work: Work[T], read_after: int = 0) -> T:
        """What `work` returns, from a server that has reached the position `read_after`. A replica that fails is left
        for the primary: reads are safe to repeat."""
        copy = self._choose(read_after)
        if copy is not None:
            try:
                return await copy.readers.run(work)
            except Unavailable as exc:
                if not is_failure(exc):
                    raise
                copy.lag = float("inf")
        return await self._primary.readers.run(work)

    async def newest(self, work: Work[T]) -> T:
        """From the primary: what no copy may be behind with."""
        return await self._primary.readers.run(work)

    def lags(self) -> dict[str, float]:
        """Seconds by replica, for the status."""
        return {copy.database.name: copy.lag for copy in self._replicas}

    def _choose(self, read_after: int) -> Copy | None:
        """In turn, one that may answer. With the primary away any that can be reached, however far behind it was."""
        alone = self._source.breaker.state is not State.CLOSED
        able = [
            copy
            for copy in self._replicas
            if copy.position >= read_after and (copy.lag <= self._max_lag or (alone and copy.lag < float("inf")))
        ]
        return able[next(self._turn) % len(able)] if able else None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self._look()
            except Exception:  # noqa: BLE001 - without this task a replica that falls behind would go on answering
                _log.exception("the replicas are watched on after an error")

    async def _look(self) -> None:
        at = self._monotonic()
        with suppress(HeadraceError):
            if (found := await _asked(self._source, _PRIMARY)) is not None:
                self._seen.append((at, found[0]))
        for copy in self._replicas:
            try:
                await self._look_at(copy)
            except HeadraceError:
                copy.lag = float("inf")

    async def _look_at(self, copy: Copy) -> None:
        found = await _asked(copy.database, _REPLICA)
        if found is not None:
            copy.lag, copy.position = self._behind(found[0]), found[1]
        elif (promoted := await _asked(copy.database, "SELECT 0, last_seq FROM event_position")) is not None:
            copy.lag, copy.position = 0.0, promoted[1]

    def _behind(self, place: int) -> float:
        """Seconds since the primary was at this place of its log and not beyond."""
        if not self._seen or place >= self._seen[-1][1]:
            return 0.0
        passed = next(at for at, lsn in self._seen if lsn > place)
        return self._seen[-1][0] - passed + _LOOK_SECONDS


async def _asked(database: Database, statement: str) -> tuple[int, int] | None:
    """Its place in the log and its newest position; None when it answers with no row. Raises Unavailable."""
    try:
        async with database.asking(_ASK_SECONDS) as connection:
            row = await (await connection.execute(statement)).fetchone()
    except errors.UndefinedTable as exc:
        raise Unavailable(f"{database.name} is so far behind that it has no tables yet") from exc
    return None if row is None else (int(row[0]), int(row[1]))
