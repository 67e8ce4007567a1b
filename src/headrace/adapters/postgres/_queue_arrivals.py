"""When to look into the queue: at once for what arrives here, by NOTIFY for what arrives elsewhere, and by the clock
behind both. However many receivers wait, a process looks once."""

from __future__ import annotations

import asyncio
from collections import deque

from headrace.adapters.postgres.database import Database
from headrace.adapters.postgres.listen import Announcer, Listener

_CHANNEL = "headrace_queue"
_POLL_SECONDS = 1.0
_POLL_SECONDS_DEAF = 0.2  # nothing wakes us then: the delay that a reader may notice


class Arrivals:
    """Used on the event loop alone."""

    def __init__(self, database: Database, listen_url: str, me: str) -> None:
        self._me = me
        self._loop = asyncio.get_running_loop()
        self._listener = Listener(listen_url, database.name, {_CHANNEL: self._heard})
        self._announcer = Announcer(database, _CHANNEL)
        self._look_at = 0.0
        self._receivers: deque[asyncio.Future[None]] = deque()

    def start(self) -> None:
        self._listener.start()

    async def close(self) -> None:
        self.look()
        await self._listener.close()
        await self._announcer.close()

    def arrived(self) -> None:
        """A block was put here: look, and tell the others."""
        self.look()
        self._announcer.announce(self._me)

    def look(self) -> None:
        """There may be something."""
        self._look_at = 0.0
        while self._receivers:
            _wake(self._receivers.popleft())

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        return self._loop.time() >= self._look_at

    def looking(self) -> None:
        """A look begins now: what arrives from now on is another's."""
        self._look_at = self._loop.time() + (_POLL_SECONDS if self._listener.listening else _POLL_SECONDS_DEAF)

    async def wait(self, seconds: float) -> None:
        """Until it is time to look, for `seconds` at most."""
        woken: asyncio.Future[None] = self._loop.create_future()
        self._receivers.append(woken)
        timer = self._loop.call_later(max(0.0, min(seconds, self._look_at - self._loop.time())), _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()
            if woken in self._receivers:
                self._receivers.remove(woken)

    def _heard(self, who: str) -> None:
        if who != self._me:
            self.look()


def _wake(receiver: asyncio.Future[None]) -> None:
    if not receiver.done():
        receiver.set_result(None)
