"""Whoever waits for tasks is woken: at once by what happens here, by NOTIFY for what happens elsewhere."""

from __future__ import annotations

import asyncio

from headrace.adapters.postgres.database import Database
from headrace.adapters.postgres.listen import Announcer, Listener

_CHANNEL = "headrace_tasks"
_DEAF_SECONDS = 0.5  # nothing wakes us then: so often one may look, which is the delay that a task has elsewhere


class News:
    """Used on the event loop alone."""

    def __init__(self, database: Database, listen_url: str, me: str) -> None:
        self._me = me
        self._listener = Listener(listen_url, database.name, {_CHANNEL: self._heard})
        self._announcer = Announcer(database, _CHANNEL)
        self._waiting: set[asyncio.Future[None]] = set()

    def start(self) -> None:
        self._listener.start()

    async def close(self) -> None:
        self._wake()
        await self._listener.close()
        await self._announcer.close()

    def tell(self) -> None:
        """Something may be claimed: those who wait here look, and those elsewhere."""
        self._wake()
        self._announcer.announce(self._me)

    async def wait(self, seconds: float) -> None:
        """Until there is news, for so long at most; not as long while news from elsewhere are not heard."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            async with asyncio.timeout(seconds if self._listener.listening else min(seconds, _DEAF_SECONDS)):
                await woken
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(woken)

    def _heard(self, who: str) -> None:
        if who != self._me:
            self._wake()

    def _wake(self) -> None:
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)
        self._waiting.clear()
