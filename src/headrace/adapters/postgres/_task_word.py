"""Whoever waits for tasks is woken: at once by what happens here, by NOTIFY for what happens elsewhere."""

from __future__ import annotations

from headrace.adapters.postgres.database import Database
from headrace.adapters.postgres.listen import Announcer, Listener
from headrace.kit.news import News

_CHANNEL = "headrace_tasks"
_DEAF_SECONDS = 0.5  # nothing wakes us then: so often one may look, which is the delay that a task has elsewhere


class Word:
    """Used on the event loop alone."""

    def __init__(self, database: Database, listen_url: str, me: str) -> None:
        self._me = me
        self._listener = Listener(listen_url, database.name, {_CHANNEL: self._heard})
        self._announcer = Announcer(database, _CHANNEL)
        self._news = News()

    def start(self) -> None:
        self._listener.start()

    async def close(self) -> None:
        self._news.tell()
        await self._listener.close()
        await self._announcer.close()

    def tell(self) -> None:
        """Something may be claimed: those who wait here look, and those elsewhere."""
        self._news.tell()
        self._announcer.announce(self._me)

    @property
    def count(self) -> int:
        """See kit/news."""
        return self._news.count

    async def wait(self, seconds: float, seen: int | None) -> None:
        """See kit/news; not as long while news from elsewhere are not heard."""
        await self._news.wait(seconds if self._listener.listening else min(seconds, _DEAF_SECONDS), seen)

    def _heard(self, who: str) -> None:
        if who != self._me:
            self._news.tell()
