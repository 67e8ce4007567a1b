"""Waiting until blocks can be queried: what `ack=stored` is made of."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from headrace.errors import Unavailable
from headrace.ports.bus import Bus, Stored
from headrace.ports.events import Events

_REMEMBERED = 10_000  # blocks of which the word came before anyone waited for them: some seconds' worth
_POLL_SECONDS = 1.0  # the bus is a hint; the store knows


class StoredWaiter:
    """Woken by the bus, with the store asked now and then, since word can get lost."""

    def __init__(self, events: Events, bus: Bus, *, timeout: float = 10.0) -> None:
        self._events = events
        self._bus = bus
        self._timeout = timeout
        self._seen: OrderedDict[int, int] = OrderedDict()  # the position that its batch reached
        self._waiting: dict[int, set[asyncio.Event]] = {}

    async def run(self) -> None:
        """Listen until cancelled."""
        async with self._bus.listen(self._on_stored):
            await asyncio.Event().wait()

    async def wait(self, block_ids: Iterable[int], bucket_id: int) -> int | None:
        """The position that has all of them once they are stored; None when that took longer than the timeout, or
        the store cannot be asked."""
        blocks = set(block_ids)
        missing = blocks.difference(self._seen)
        try:
            async with asyncio.timeout(self._timeout):
                while missing:
                    missing = await self._wait_a_while(missing, bucket_id)
                if blocks <= self._seen.keys():
                    position = max(self._seen[block] for block in blocks)
                    return position or await self._events.last_seq(bucket_id)  # 0: of a batch for several stores
                return await self._events.last_seq(bucket_id)
        except (TimeoutError, Unavailable):  # a store that is away has them later: they are durable already
            return None

    async def _wait_a_while(self, blocks: set[int], bucket_id: int) -> set[int]:
        """Wait for the word of all of `blocks`, at most until the next poll; those still missing."""
        woken = asyncio.Event()
        for block in blocks:
            self._waiting.setdefault(block, set()).add(woken)
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                while not blocks <= self._seen.keys():
                    await woken.wait()
                    woken.clear()
        except TimeoutError:
            return blocks - await self._events.stored_blocks(blocks, bucket_id)
        finally:
            for block in blocks:
                self._waiting[block].discard(woken)
                if not self._waiting[block]:
                    del self._waiting[block]
        return set()

    def _on_stored(self, stored: Stored) -> None:
        for block in stored.block_ids:
            self._seen[block] = stored.last_seq
            for woken in self._waiting.get(block, ()):
                woken.set()
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
