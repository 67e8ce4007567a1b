"""Reads: a few at once, each on a connection of its own and for a limited time, so that no query can hurt ingest."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from headrace.adapters.postgres.database import Connection, Database, cut
from headrace.adapters.postgres.faults import reading
from headrace.errors import Overloaded, QueryTimeout, Unavailable
from headrace.ports.events import TOO_LONG, TOO_LONG_A_LINE, TOO_MANY

T = TypeVar("T")

_GRACE = 5.0  # seconds in which a server begins, or stops a statement; else the connection is cut
# All statements of a read see one state. The server has the limit too, for when our word to stop gets lost. No `jit`:
# it compiles for each partition, 1.9 s for seven of them, to save 0.1 s. Facets of nine fields are counted in a hash
# table each: in 4 MB they are sorted instead, which takes three times as long.
_BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SET LOCAL statement_timeout = {};
SET LOCAL jit = off;
SET LOCAL work_mem = '32MB'
"""


class _Dead(Exception):
    """The connection was dead before anything was asked of it."""


class Readers:
    """`run` gives a function a connection, in a transaction that only reads. Used from one event loop."""

    def __init__(self, database: Database, *, running: int, waiting: int, timeout: float) -> None:
        """`database` has `running` connections, for these reads alone."""
        self._database = database
        self._running = running
        self._limit = running + waiting
        self._timeout = timeout
        self._begin = _BEGIN.format(max(1, round(timeout * 1_000))).encode()
        self._slots = asyncio.Semaphore(running)
        self._inside = 0
        self._timers: set[asyncio.Timeout] = set()
        self._closed = False

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """What `work` returns. Raises Overloaded, QueryTimeout, Unavailable, or what `work` raises.

        A caller that is cancelled stops its statement.
        """
        if self._inside >= self._limit:
            raise Overloaded(TOO_MANY)
        self._inside += 1
        try:
            await self._slot()
            try:
                return await self._guarded(work)
            finally:
                self._slots.release()
        finally:
            self._inside -= 1

    async def close(self) -> None:
        """Stop every read; later ones raise Unavailable."""
        self._closed = True
        for timer in self._timers:
            if not timer.expired():  # one whose statement is being stopped already cannot be set anew
                timer.reschedule(0)
        for _ in range(self._running):
            await self._slots.acquire()
        for _ in range(self._running):
            self._slots.release()

    async def _slot(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded(TOO_LONG_A_LINE) from None

    async def _guarded(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        if self._closed:
            raise Unavailable(f"{self._database.name} is closing")
        with self._database.breaker.watch(), reading(self._database.name):
            for _ in range(self._running):  # after a restart of the server every idle connection is dead
                try:
                    return await self._attempt(work)
                except _Dead:
                    continue
            try:
                return await self._attempt(work)
            except _Dead as exc:
                raise Unavailable(f"{self._database.name} closes every connection") from exc

    async def _attempt(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._database.connection(self._timeout + _GRACE) as connection:
            timer = asyncio.timeout(self._timeout)
            self._timers.add(timer)
            try:
                async with timer:
                    return await self._transaction(connection, work)
            except TimeoutError as exc:
                if connection.closed:
                    raise Unavailable(f"{self._database.name} does not answer") from exc
                raise QueryTimeout(TOO_LONG) from exc
            finally:
                self._timers.discard(timer)

    async def _transaction(self, connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
        if _is_dropped(connection):
            await connection.close()
            raise _Dead
        await self._begin_on(connection)
        result = await work(connection)
        await connection.execute("COMMIT")
        return result

    async def _begin_on(self, connection: Connection) -> None:
        """A statement may take long; this one may not, so a server that hangs is known before the time is up."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(_GRACE, cut, connection)
        try:
            await connection.execute(self._begin)
        except psycopg.OperationalError as exc:
            if loop.time() >= timer.when():
                raise Unavailable(f"{self._database.name} does not answer") from exc
            if connection.closed:
                raise _Dead from exc
            raise
        finally:
            timer.cancel()


def _is_dropped(connection: Connection) -> bool:
    """Whether the server has closed it while it was idle. Takes 3 µs, where asking the server takes 100."""
    poll = select.poll()
    try:
        poll.register(connection.fileno(), select.POLLIN)
        while poll.poll(0):
            connection.pgconn.consume_input()  # raises at the end of the stream
    except psycopg.Error:
        return True
    return False
