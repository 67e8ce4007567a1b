"""A PostgreSQL server as an adapter sees it: a bounded pool, a deadline on every use, a breaker in front."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from headrace.adapters.postgres.faults import NotConnected, is_failure, reading, writing
from headrace.errors import Unavailable, Unusable
from headrace.kit.breaker import Breaker
from headrace.kit.trials import Trials
from headrace.ports.clock import Clock

Connection: TypeAlias = "psycopg.AsyncConnection[tuple[Any, ...]]"

_PARAMETERS = {
    "application_name": "headrace",
    "connect_timeout": "2",  # for each host; the least that libpq takes
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}
_PATIENCE = 6.0  # seconds for a connection of the pool: past two hosts that do not answer, to a third
_TRIAL_SECONDS = 3.0
_POOL_SEES_SECONDS = 30.0  # a connection now and then, since it closes what is an hour old
_RECONNECT_SECONDS = 0.0  # the pool's own retries would keep those who wait from hearing of it; ours are the breaker's

ENDS_CONNECTION = (errors.ReadOnlySqlTransaction, errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow)
"""The server is not what it was: the next connection finds the right one."""


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """After `failures` in a row the server is left alone for `seconds`."""

    failures: int = 5
    seconds: float = 2.0


class Database:
    """Connections in autocommit mode: a transaction is begun by whoever needs one."""

    def __init__(
        self, url: str, clock: Clock, *, name: str, size: int, options: BreakerOptions | None = None
    ) -> None:
        """`url` may name several hosts, with `target_session_attrs`. `size`: connections at most. Raises Unusable."""
        options = options or BreakerOptions()
        self.name = name
        self.conninfo = conninfo(url)
        self.breaker = Breaker(
            name, clock.monotonic, Unavailable, is_failure,
            failures=options.failures, seconds=options.seconds, on_open=lambda: self._trials.begin(self.breaker),
        )  # fmt: skip
        self._monotonic = clock.monotonic
        self._trials = Trials(self._try, options.seconds)
        self._pool = AsyncConnectionPool(
            self.conninfo,
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=0,
            max_size=size,
            timeout=_PATIENCE,
            reconnect_timeout=_RECONNECT_SECONDS,
            reconnect_failed=self._refuse,
            open=False,
            name=name,
        )
        self._in_use = 0
        self._waiting = 0  # for a connection of the pool
        self._at_hand: Connection | None = None
        self._pool_sees_at = clock.monotonic() + _POOL_SEES_SECONDS
        self._returning: set[asyncio.Task[None]] = set()
        self._refused: asyncio.Future[None] | None = None

    async def open(self) -> None:
        """Ready to connect; the first use does."""
        await self._pool.open()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._trials.close()
        if (connection := self._pick_up()) is not None:
            await self._return(connection)
        await self._pool.close()

    @asynccontextmanager
    async def connection(self, seconds: float) -> AsyncIterator[Connection]:
        """A connection for `seconds` at most: then it is cut, which the statement that runs raises as OperationalError.

        To be used inside of `breaker.watch()`, which refuses at once while the server is away, and of `faults.reading`
        or `faults.writing`, which translate what psycopg raises; `asking` and `changing` are all three.
        """
        connection = await self._take(min(seconds, _PATIENCE))
        self._in_use += 1
        try:
            with _deadline(connection, seconds):
                yield connection  # the pool rolls back what is left open; to commit nothing would cost 40 µs
        except ENDS_CONNECTION:
            await connection.close()
            raise
        finally:
            self._in_use -= 1
            if not self._keep_at_hand(connection):
                # In a task of its own: a caller may be cancelled at any step (anyio does it again and again when a
                # client hangs up), and a connection that is lost on its way back is missing for good.
                await asyncio.shield(self._return(connection))

    def _keep_at_hand(self, connection: Connection) -> bool:
        """Whether it is kept for the next use: its way through the pool costs as much as a short statement.

        Nobody waits for the pool while one is at hand, so it is missing to nobody.
        """
        idle = connection.pgconn.transaction_status == TransactionStatus.IDLE
        if self._at_hand is not None or self._waiting or not idle or self._pool.closed:
            return False
        if self._monotonic() >= self._pool_sees_at:
            self._pool_sees_at = self._monotonic() + _POOL_SEES_SECONDS
            return False
        self._at_hand = connection
        return True

    def _pick_up(self) -> Connection | None:
        connection, self._at_hand = self._at_hand, None
        return connection

    async def _take(self, seconds: float) -> Connection:
        if (connection := self._pick_up()) is not None:
            return connection
        self._waiting += 1
        try:
            return await self._take_from_pool(seconds)
        finally:
            self._waiting -= 1

    async def _take_from_pool(self, seconds: float) -> Connection:
        """A server that takes no connections is told of at once, and not when the time is up."""
        if self._pool.get_stats().get("pool_available"):
            return await self._pool.getconn(seconds)
        if self._refused is None:
            self._refused = asyncio.get_running_loop().create_future()
        refused = self._refused
        taking = asyncio.create_task(self._pool.getconn(seconds))
        waited: set[asyncio.Future[Any]] = {taking, refused}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            taking.add_done_callback(self._give_back)
            taking.cancel()
            raise
        if not taking.done():
            taking.add_done_callback(self._give_back)
            taking.cancel()
            raise NotConnected("it takes no connections")
        return taking.result()

    def _refuse(self, _: object) -> None:
        """A connection could not be made. While others are in use, one of these may come back to those who wait."""
        if self._refused is not None and not self._in_use:
            self._refused.set_result(None)
            self._refused = None

    def _give_back(self, taken: asyncio.Task[Connection]) -> None:
        if not taken.cancelled() and taken.exception() is None:
            self._return(taken.result())

    def _return(self, connection: Connection) -> asyncio.Task[None]:
        returning = asyncio.create_task(self._pool.putconn(connection))
        self._returning.add(returning)
        returning.add_done_callback(self._returning.discard)
        return returning

    async def _try(self) -> None:
        with reading(self.name):
            async with self.connection(_TRIAL_SECONDS) as connection:
                await connection.execute("SELECT 1")

    @asynccontextmanager
    async def asking(self, seconds: float) -> AsyncIterator[Connection]:
        """A connection to read with. Raises Unavailable (also its kinds)."""
        with self.breaker.watch(), reading(self.name):
            async with self.connection(seconds) as connection:
                yield connection

    @asynccontextmanager
    async def changing(self, seconds: float) -> AsyncIterator[Connection]:
        """A connection to write with. Raises Poison for what is wrong with the data itself, else Unavailable."""
        with self.breaker.watch(), writing(self.name):
            async with self.connection(seconds) as connection:
                yield connection


def conninfo(url: str) -> str:
    """With our parameters where the URL says nothing else. Raises Unusable."""
    try:
        given = conninfo_to_dict(url)
        return make_conninfo(url, **{name: value for name, value in _PARAMETERS.items() if name not in given})
    except psycopg.ProgrammingError as exc:
        raise Unusable("the URL of the database cannot be parsed: write postgresql://user:password@host/name") from exc


@contextmanager
def _deadline(connection: Connection, seconds: float) -> Iterator[None]:
    timer = asyncio.get_running_loop().call_later(seconds, cut, connection)
    try:
        yield
    finally:
        timer.cancel()


def cut(connection: Connection) -> None:
    """End the conversation from below. A cancelled task would ask the server to stop and wait for its answer, which a
    server that hangs never gives; a socket that is shut down ends every wait at once."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)
