"""A queue that may be away, with a spool: a durable queue on this machine that takes blocks meanwhile.

A block keeps its id on both ways, so one that was put with an unknown outcome and then spooled is stored once. What is
spooled goes on to the queue in its order once that is back; fresh blocks do not wait for it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from headrace.errors import HeadraceError, Overloaded, Unavailable
from headrace.model.block import Block, Delivery, QueueDepth
from headrace.ports.clock import Clock
from headrace.ports.queue import Queue

_log = logging.getLogger(__name__)

_EVENTS = 50_000  # moved in a step, or 16 MiB
_LOOK_SECONDS = 10.0  # between two looks for spools that were left behind


class Orphan(Protocol):
    """The spool of a process of this machine that is gone."""

    @property
    def queue(self) -> Queue:
        """Holds its blocks; takes none."""

    async def close(self) -> None:
        """Leave what is in it."""

    async def discard(self) -> None:
        """All of it was moved: remove it."""


class SpooledQueue:
    """`ports.queue.Queue`. Blocks are received from the remote queue alone; `forward_step` brings it what is here."""

    def __init__(
        self, remote: Queue, spool: Queue, find_orphan: Callable[[], Awaitable[Orphan | None]], clock: Clock
    ) -> None:
        """`remote` should have a breaker, so that it fails at once while it is away."""
        self._remote = remote
        self._spool = spool
        self._find_orphan = find_orphan
        self._monotonic = clock.monotonic
        self._orphan: Orphan | None = None
        self._look_at = float("-inf")
        self._away = False

    async def put(self, block: Block) -> None:
        """See the port. Once the queue was found away, everything is spooled until a forwarded block shows that it is
        back: then nobody waits for its timeouts."""
        if self._away:
            await self._spool.put(block)
            return
        try:
            await self._remote.put(block)
        except Overloaded:
            raise  # it is there, and full: the spool would only hide that
        except Unavailable as exc:
            await self._put_here(block, exc)

    async def receive(self, max_events: int, wait: float) -> Sequence[Delivery]:
        """See the port."""
        return await self._remote.receive(max_events, wait)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        await self._remote.ack(deliveries)

    async def release(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
        """See the port."""
        await self._remote.release(deliveries, delay)

    async def depth(self) -> QueueDepth:
        """See the port: of both together. Raises Unavailable while the queue is away."""
        return _together(await self._remote.depth(), await self.spooled())

    async def spooled(self) -> QueueDepth:
        """What waits here for the queue. Never raises because that is away."""
        depth = await self._spool.depth()
        return depth if self._orphan is None else _together(depth, await self._orphan.queue.depth())

    async def forward_step(self, wait: float = 1.0) -> int:
        """Move some of what is spooled to the queue, waiting up to `wait` seconds for the first; how many blocks.

        Raises Unavailable while the queue is away or full: what was not moved is back in the spool.
        """
        deliveries = await self._spool.receive(_EVENTS, wait)
        return await self._move(self._spool, deliveries) if deliveries else await self._move_orphan()

    async def close(self) -> None:
        """See the port. What is spooled stays for the next start."""
        if self._orphan is not None:
            await self._orphan.close()
        await self._spool.close()
        await self._remote.close()

    async def _put_here(self, block: Block, why: Unavailable) -> None:
        try:
            await self._spool.put(block)
        except HeadraceError as exc:
            raise why from exc  # it knows whether the block may be there already
        if not self._away:
            self._away = True  # and not before: there is a block now whose forwarding will show that it is back
            _log.warning("events are spooled on this machine from now on: %s", why.detail)

    async def _move(self, source: Queue, deliveries: Sequence[Delivery]) -> int:
        moved = 0
        try:
            for one in deliveries:
                await self._remote.put(one.block)
                moved += 1
                await source.ack([one])  # one by one: killed in the middle, we repeat a few and not all of them
                self._is_back()
        except Overloaded:
            self._is_back()
            raise
        except Unavailable:
            self._away = True
            raise
        finally:
            await source.release(deliveries[moved:])
        return moved

    async def _move_orphan(self) -> int:
        if self._orphan is None:
            if self._monotonic() < self._look_at:
                return 0
            self._look_at = self._monotonic() + _LOOK_SECONDS
            self._orphan = await self._find_orphan()
            if self._orphan is None:
                return 0
        if deliveries := await self._orphan.queue.receive(_EVENTS, 0):
            return await self._move(self._orphan.queue, deliveries)
        orphan, self._orphan = self._orphan, None
        if (await orphan.queue.depth()).blocks:
            await orphan.close()  # some could not be read, which its queue has logged
        else:
            await orphan.discard()
        return 0

    def _is_back(self) -> None:
        if self._away:
            self._away = False
            _log.warning("the queue is back: what was spooled is forwarded")


def _together(one: QueueDepth, other: QueueDepth) -> QueueDepth:
    return QueueDepth(
        one.blocks + other.blocks,
        one.events + other.events,
        one.bytes + other.bytes,
        max(one.oldest_seconds, other.oldest_seconds),
    )
