"""Word of stored batches between processes that share an event store: a throttled NOTIFY, and polling behind it.

What was stored is read from `event_batches`, in order of positions; a NOTIFY only says when to look.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from headrace.adapters.postgres.database import BreakerOptions, Database
from headrace.adapters.postgres.listen import Announcer, Listener
from headrace.errors import HeadraceError
from headrace.ports.bus import Stored
from headrace.ports.clock import Clock

_log = logging.getLogger(__name__)

CONNECTIONS = 2
_CHANNEL = "headrace_stored"
_POLL_SECONDS = 1.0
_POLL_UNHEARD_SECONDS = 0.2
_ASK_SECONDS = 5.0
_OWN_REMEMBERED = 1_000
_AT_ONCE = 200
_NOTHING: frozenset[int] = frozenset()
_NEWEST = "SELECT last_seq FROM event_position"
_SINCE = "SELECT last_seq, bucket_ids, block_ids FROM event_batches WHERE last_seq > %s ORDER BY last_seq LIMIT %s"


class PostgresBus:
    """Of one event store. `open` and `close` it."""

    def __init__(
        self, url: str, clock: Clock, *, direct_url: str = "", options: BreakerOptions | None = None
    ) -> None:
        """`direct_url` leads past a pooler. The tables are the event store's."""
        self._database = Database(url, clock, name="the event store's word", size=CONNECTIONS, options=options)
        self._listener = Listener(direct_url or url, "the bus", {_CHANNEL: self._heard})
        self._announcer = Announcer(self._database, _CHANNEL)
        self._listeners: dict[object, Callable[[Stored], None]] = {}
        self._woken = asyncio.Event()
        self._known: int | None = None
        self._own: OrderedDict[int, frozenset[int]] = OrderedDict()  # position → blocks that were told here at once
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self._database.open()
        self._listener.start()
        self._task = asyncio.create_task(self._run(), name="bus")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._listener.close()
        await self._announcer.close()
        await self._database.close()

    async def publish(self, stored: Stored) -> None:
        self._own[stored.last_seq] = stored.block_ids
        while len(self._own) > _OWN_REMEMBERED:
            self._own.popitem(last=False)
        self._tell(stored)
        self.announce()

    def announce(self) -> None:
        """Wake the other processes: something was stored here."""
        self._announcer.announce()

    @asynccontextmanager
    async def listen(self, wake: Callable[[Stored], None]) -> AsyncIterator[None]:
        ticket = object()  # the same function may listen twice
        self._listeners[ticket] = wake
        self._woken.set()
        try:
            yield
        finally:
            del self._listeners[ticket]

    def _heard(self, payload: str) -> None:  # noqa: ARG002 - what was stored is in the table
        self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                while self._listeners and await self._look() == _AT_ONCE:
                    pass
            except HeadraceError as exc:
                _log.debug("the bus cannot be read: %s", exc.detail)
            except Exception:  # noqa: BLE001 - without this task nobody would hear anything any more
                _log.exception("the bus goes on after an error")
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS if self._listener.listening else _POLL_UNHEARD_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            pass

    async def _look(self) -> int:
        """Tell what was stored since the last look; how many batches."""
        async with self._database.asking(_ASK_SECONDS) as connection:
            if self._known is None:
                [(self._known,)] = await (await connection.execute(_NEWEST)).fetchall()
                return 0
            found = await (await connection.execute(_SINCE, (self._known, _AT_ONCE))).fetchall()
        for last_seq, bucket_ids, block_ids in found:
            self._known = last_seq
            blocks = frozenset(block.int for block in block_ids)
            # Of blocks that came again nothing is stored, and their word has the position of somebody else's batch.
            if not blocks <= self._own.get(last_seq, _NOTHING):
                self._tell(Stored(last_seq, frozenset(bucket_ids), blocks))
        return len(found)

    def _tell(self, stored: Stored) -> None:
        for wake in list(self._listeners.values()):
            try:
                wake(stored)
            except Exception:  # noqa: BLE001  # one broken listener must not silence the others, nor stop the drain
                _log.exception("a listener of the bus failed")
