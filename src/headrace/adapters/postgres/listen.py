"""LISTEN and NOTIFY: how processes that share only a database wake each other. Both are a convenience: whoever uses
them polls behind them, since a word may be lost, and through a pooler none is heard at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress

import psycopg
from psycopg import sql

from headrace.adapters.postgres.database import Connection, Database, conninfo
from headrace.adapters.postgres.faults import reading
from headrace.errors import Unavailable

_log = logging.getLogger(__name__)

_SET_UP_SECONDS = 10.0
_RECONNECT_SECONDS = 2.0
_POOLER_SECONDS = 60.0  # until the URL is tried again: it may lead past the pooler then
_NOTIFY_SECONDS = 2.0
_PAUSE_SECONDS = 0.05

Hears = Callable[[str], None]


class Listener:
    """LISTENs on some channels over a connection of its own, and connects again by itself for as long as it lives.

    `channels` has for each channel what is called, on the event loop, with the payload of each NOTIFY. It is called
    with "" after each connect too, since a word may have been missed before. It must neither block nor raise. Ask
    `listening` how seldom polling will do: while it is False nothing is heard (not connected, or a pooler between).

        listener = Listener(url, "the bus", {"headrace_stored": self._heard})
        listener.start()
        …
        await listener.close()
    """

    def __init__(self, url: str, name: str, channels: Mapping[str, Hears]) -> None:
        """`url` should lead to the server directly; `name` is for the log. Raises Unusable."""
        self._conninfo = conninfo(url)
        self._name = name
        self._channels = channels
        self._task: asyncio.Task[None] | None = None
        self._told = ""
        self.listening = False

    def start(self) -> None:
        """Begin, behind the caller's back."""
        self._task = asyncio.create_task(self._run(), name=f"listener of {self._name}")

    async def close(self) -> None:
        """Hear no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            pause = _RECONNECT_SECONDS
            try:
                async with asyncio.timeout(_SET_UP_SECONDS):
                    connection = await self._connect()
                if connection is None:
                    pause = _POOLER_SECONDS
                else:
                    await self._listen(connection)
            except (psycopg.Error, OSError) as exc:
                self._tell(f"{self._name} is not heard, and polled instead: {exc}")
            finally:
                self.listening = False
            await asyncio.sleep(pause)

    async def _connect(self) -> Connection | None:
        """A connection that listens already, or None if there is a pooler between."""
        connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, prepare_threshold=None)
        try:
            if not await _is_direct(connection):
                self._tell(f"{self._name} is behind a pooler, which lets no NOTIFY through: it is polled instead")
                await connection.close()
                return None
            for channel in self._channels:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _listen(self, connection: Connection) -> None:
        async with connection:
            self.listening = True
            self._told = ""
            for hears in self._channels.values():
                hears("")
            async for word in connection.notifies():
                self._channels[word.channel](word.payload)

    def _tell(self, what: str) -> None:
        """Log it once, not at each try."""
        if what != self._told:
            self._told = what
            _log.warning("%s", what)


class Announcer:
    """NOTIFYs a channel, at most once in 50 ms: a transaction with a NOTIFY in it takes a lock that all of the server's
    databases share while it commits, so it is never part of a transaction that writes."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._payload: str | None = None
        self._task: asyncio.Task[None] | None = None

    def announce(self, payload: str = "") -> None:
        """Say it soon, without waiting; of several within 50 ms the last is said. Call it after the commit."""
        self._payload = payload
        if self._task is None:
            self._task = asyncio.create_task(self._say_all(), name=f"announcer of {self._database.name}")

    async def close(self) -> None:
        """Say nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _say_all(self) -> None:
        try:
            while (payload := self._payload) is not None:
                self._payload = None
                with suppress(Unavailable):  # polling is behind it
                    await self._say(payload)
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._task = None

    async def _say(self, payload: str) -> None:
        with self._database.breaker.watch(), reading(self._database.name):
            async with self._database.connection(_NOTIFY_SECONDS) as connection:
                await connection.execute("SELECT pg_notify(%s, %s)", (self._channel, payload))


async def _is_direct(connection: Connection) -> bool:
    """Whether we speak with the server itself: a pooler makes up the process id that it greets its clients with."""
    found = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
    return found == (connection.info.backend_pid,)
