"""Word from several stores as one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from headrace.adapters.memory.bus import MemoryBus
from headrace.ports.bus import Bus, Stored


class AnnouncingBus(Bus, Protocol):
    def announce(self) -> None:
        """Wake the other processes: something was stored."""


class ShardedBus:
    """What this process stored is told once here; each store's own bus tells the other processes."""

    def __init__(self, buses: Sequence[AnnouncingBus]) -> None:
        self._buses = buses
        self._here = MemoryBus()

    async def publish(self, stored: Stored) -> None:
        await self._here.publish(stored)
        for bus in self._buses:
            bus.announce()

    @asynccontextmanager
    async def listen(self, wake: Callable[[Stored], None]) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._here.listen(wake))
            for bus in self._buses:
                await stack.enter_async_context(bus.listen(wake))
            yield
