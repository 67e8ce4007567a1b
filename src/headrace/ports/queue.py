"""The durable block queue between the producers and the drain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.block import Block, Delivery, QueueDepth


class Queue(Protocol):
    """At least once: a block is delivered until it is acked, across crashes, in about the order of `put`."""

    async def put(self, block: Block) -> None:
        """Return once `block` is durable (committed and fsynced), never before.

        Raises Overloaded when the queue's bound would be passed (nothing was stored), Unavailable when it cannot be
        written now (nothing was stored), and OutcomeUnknown when it may or may not have been stored.
        """

    async def receive(self, max_events: int, wait: float) -> Sequence[Delivery]:
        """Take blocks of about `max_events` in all (at least one block), waiting up to `wait` seconds for the first.

        Blocks that are out and neither acked nor released are not handed out again by this process; a crash of it
        puts them back.
        """

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Forget blocks that are stored. May become durable later than it returns: the store skips a redelivery."""

    async def release(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
        """Put blocks back, to be received again, not before `delay` seconds from now."""

    async def depth(self) -> QueueDepth:
        """What waits, blocks that are out included."""

    async def close(self) -> None:
        """Finish what was begun and let go of every resource. What was not acked stays for the next start."""
