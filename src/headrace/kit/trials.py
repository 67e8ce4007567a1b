"""Tries what a breaker leaves alone until it works again, so that no request waits for what may still hang."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from headrace.kit.breaker import Breaker, State

_log = logging.getLogger(__name__)


class Trials:
    """Begun by a breaker's `on_open`; `close` ends them."""

    def __init__(self, attempt: Callable[[], Awaitable[None]], seconds: float) -> None:
        """`attempt` asks the dependency something small; `seconds` lie before each."""
        self._attempt = attempt
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    def begin(self, breaker: Breaker) -> None:
        """Until it is closed. Those that have begun already go on alone."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._until_closed(breaker), name=f"trials of {breaker.name}")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _until_closed(self, breaker: Breaker) -> None:
        while breaker.state is not State.CLOSED:
            await asyncio.sleep(self._seconds)
            try:
                with breaker.trial():
                    await self._attempt()
            except Exception as exc:  # noqa: BLE001 - without this task the breaker would stay open for good
                if not breaker.is_failure(exc):
                    _log.warning("%s is back, and answers a trial with an error: %r", breaker.name, exc)
