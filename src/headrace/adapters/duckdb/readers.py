"""Reads: a few at once, each on a connection of its own and for a limited time, so that no query can hurt ingest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import duckdb

from headrace.adapters.duckdb.arrow import SLICE
from headrace.adapters.duckdb.faults import reading
from headrace.errors import Overloaded, QueryTimeout, Unavailable
from headrace.ports.events import TOO_LONG, TOO_LONG_A_LINE, TOO_MANY

T = TypeVar("T")

_PAGE = 256  # rows turned into Python values at once: 0.3 ms of the GIL
_REPEAT = 0.05  # seconds; an interrupt between two statements of a read would be lost


class Session:
    """One connection, used by one read at a time."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor
        self._stopped = False

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Every row of the answer. Raises QueryTimeout once the read is stopped."""
        return [row for page in self.pages(sql, params) for row in page]

    def pages(self, sql: str, params: Sequence[object] = ()) -> Iterator[list[tuple[Any, ...]]]:
        """The same, a few rows at a time."""
        self._check()
        with reading():
            result = self._cursor.execute(sql, list(params))
            try:
                while page := result.fetchmany(_PAGE):
                    yield page
            except BaseException:
                result.abort()  # else it would hold its snapshot of the file until the next statement
                raise

    def column(self, sql: str, params: Sequence[object] = ()) -> Iterator[list[Any]]:
        """The first column of a long answer, a slice at a time: through Arrow, at a tenth of the cost of rows."""
        self._check()
        with reading():
            for batch in self._cursor.sql(sql, params=list(params)).to_arrow_reader(SLICE):
                yield batch.column(0).to_pylist()

    def stop(self) -> None:
        """From any thread: end the statement that runs, and let no other begin."""
        self._stopped = True
        self._cursor.interrupt()

    def begin(self) -> None:
        self._stopped = False

    def _check(self) -> None:
        if self._stopped:
            raise QueryTimeout(TOO_LONG)

    def close(self) -> None:
        self._cursor.close()


class Readers:
    """`run` gives a function a session, in a thread. Used from one event loop."""

    def __init__(
        self, connect: Callable[[], duckdb.DuckDBPyConnection], *, running: int, waiting: int, timeout: float
    ) -> None:
        self._connect = connect
        self._limit = running + waiting
        self._timeout = timeout
        self._slots = asyncio.Semaphore(running)
        self._threads = ThreadPoolExecutor(running, thread_name_prefix="duckdb-read")
        self._inside = 0
        self._idle: list[Session] = []
        self._busy: dict[asyncio.Future[Any], Session] = {}
        self._closed = False

    async def run(self, work: Callable[[Session], T]) -> T:
        """What `work` returns. Raises Overloaded, QueryTimeout, or what `work` raises."""
        if self._inside >= self._limit:
            raise Overloaded(TOO_MANY)
        self._inside += 1
        try:
            await self._slot()
        finally:
            self._inside -= 1
        return await self._start(work)

    async def _slot(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise Overloaded(TOO_LONG_A_LINE) from None

    async def _start(self, work: Callable[[Session], T]) -> T:
        """The slot is given back when the thread is done, which may be after the caller was cancelled."""
        loop = asyncio.get_running_loop()
        try:
            if self._closed:
                raise Unavailable("the event store is closing")
            session = self._idle.pop() if self._idle else Session(self._connect())
        except BaseException:
            self._slots.release()
            raise
        session.begin()
        self._inside += 1
        future = loop.run_in_executor(self._threads, work, session)
        self._busy[future] = session
        watch = loop.call_later(self._timeout, self._interrupt, future)
        future.add_done_callback(lambda done: self._release(done, watch))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._interrupt(future)
            raise

    def _interrupt(self, future: asyncio.Future[Any]) -> None:
        session = self._busy.get(future)
        if session is not None:
            session.stop()
            asyncio.get_running_loop().call_later(_REPEAT, self._interrupt, future)

    def _release(self, future: asyncio.Future[Any], watch: asyncio.TimerHandle) -> None:
        watch.cancel()
        self._idle.append(self._busy.pop(future))
        self._inside -= 1
        self._slots.release()
        if not future.cancelled():
            future.exception()  # looked at, so that a read whose caller went away is not reported as lost

    async def disconnect(self) -> None:
        """Stop every read and close the connections; later reads make new ones."""
        for future in list(self._busy):
            self._interrupt(future)
        if self._busy:
            await asyncio.wait(list(self._busy))
        await asyncio.sleep(0)  # their callbacks
        sessions, self._idle = self._idle, []
        for session in sessions:
            session.close()

    async def close(self) -> None:
        self._closed = True
        await self.disconnect()
        self._threads.shutdown(wait=False)
