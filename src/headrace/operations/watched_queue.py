"""A queue that remembers how the last commits went, so that readiness can tell without writing anything itself."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.errors import Overloaded
from headrace.model.block import Block, Delivery, QueueDepth
from headrace.ports.clock import Clock
from headrace.ports.queue import Queue


class WatchedQueue:
    """A Queue (see ports/queue) around another one."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._failed_at: float | None = None
        self._reason = ""

    def trouble(self, within: float) -> str | None:
        """Why the last commit failed, if that was less than `within` seconds ago and none has worked since."""
        if self._failed_at is None or self._clock.monotonic() - self._failed_at > within:
            return None
        return self._reason

    async def put(self, block: Block) -> None:
        try:
            await self._queue.put(block)
        except Overloaded:
            raise  # the bound did its work: nothing is wrong with committing
        except Exception as exc:
            self._failed_at, self._reason = self._clock.monotonic(), f"the last commit failed: {exc}"
            raise
        self._failed_at = None

    async def receive(self, max_events: int, wait: float) -> Sequence[Delivery]:
        return await self._queue.receive(max_events, wait)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        await self._queue.ack(deliveries)

    async def release(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
        await self._queue.release(deliveries, delay)

    async def depth(self) -> QueueDepth:
        return await self._queue.depth()

    async def close(self) -> None:
        await self._queue.close()
