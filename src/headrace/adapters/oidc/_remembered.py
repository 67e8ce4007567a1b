"""One JSON document of the provider, remembered: asked for by one task at a time, and never more often than allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from headrace.errors import Unavailable
from headrace.ports.clock import Clock

_PAUSE_SECONDS = 5.0  # after a failure
_ASKED_SECONDS = 60.0  # between two fetches because of what a token said
_STALE_SECONDS = 24 * 3600.0  # a provider that is away for longer may have revoked a key for good

Document = Mapping[str, Any]


class Remembered:
    """Fresh for a while, then still good while a newer one is fetched behind it or cannot be had."""

    def __init__(self, fetch: Callable[[], Awaitable[Document]], clock: Clock, fresh_seconds: float) -> None:
        """`fetch` raises Unavailable."""
        self._fetch = fetch
        self._monotonic = clock.monotonic
        self._fresh_seconds = fresh_seconds
        self._document: Document | None = None
        self._fetched_at = self._failed_at = self._asked_at = float("-inf")
        self._failure = ""
        self._task: asyncio.Task[None] | None = None

    async def get(self) -> Document:
        """What is remembered; waits only when there is nothing. Raises Unavailable."""
        age = self._monotonic() - self._fetched_at
        if self._document is None or age > _STALE_SECONDS:
            return await self._newest()
        if age > self._fresh_seconds and self._may_try():
            self._begin()
        return self._document

    async def newer(self) -> Document:
        """One fetched now, unless that was done for somebody less than a minute ago. Raises Unavailable."""
        if self._document is not None and self._task is None and self._monotonic() - self._asked_at < _ASKED_SECONDS:
            return self._document
        return await self._newest(asked=True)

    async def close(self) -> None:
        """Fetch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _newest(self, *, asked: bool = False) -> Document:
        if self._task is None and not self._may_try():
            raise self._unavailable()
        await asyncio.shield(self._task or self._begin(asked=asked))  # a caller who leaves must not stop it for others
        if self._document is None or self._failed_at >= self._fetched_at:
            raise self._unavailable()
        return self._document

    def _begin(self, *, asked: bool = False) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._run(asked=asked))
        return self._task

    async def _run(self, *, asked: bool) -> None:
        try:
            self._document = await self._fetch()
            self._fetched_at = self._monotonic()
            self._failed_at = float("-inf")
            if asked:
                self._asked_at = self._fetched_at
        except Unavailable as exc:
            self._failed_at, self._failure = self._monotonic(), exc.detail
        finally:
            self._task = None

    def _may_try(self) -> bool:
        return self._task is None and self._monotonic() - self._failed_at >= _PAUSE_SECONDS

    def _unavailable(self) -> Unavailable:
        return Unavailable(self._failure, retry_after=_PAUSE_SECONDS)
