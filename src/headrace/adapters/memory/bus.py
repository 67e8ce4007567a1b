"""Word within one process: a call of every listener."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from headrace.ports.bus import Stored

_log = logging.getLogger(__name__)


class MemoryBus:
    def __init__(self) -> None:
        self._listeners: dict[object, Callable[[Stored], None]] = {}

    async def publish(self, stored: Stored) -> None:
        for wake in list(self._listeners.values()):
            try:
                wake(stored)
            except Exception:  # noqa: BLE001  # one broken listener must not silence the others, nor stop the drain
                _log.exception("a listener of the bus failed")

    @asynccontextmanager
    async def listen(self, wake: Callable[[Stored], None]) -> AsyncIterator[None]:
        ticket = object()  # the same function may listen twice
        self._listeners[ticket] = wake
        try:
            yield
        finally:
            del self._listeners[ticket]
