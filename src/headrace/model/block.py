"""The block: what one group commit made durable, and the unit that a queue carries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Block:
    """`id` is a UUIDv7 as an integer; `payload` is opaque to the queue; `events` is how many it holds."""

    id: int
    payload: bytes
    events: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A block handed out by a queue, and the receipt with which it is acked or released."""

    block: Block
    receipt: int | str


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What waits in a queue: acknowledged, not yet in the store."""

    blocks: int
    events: int
    bytes: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A frame that can never be stored, and why. `id` is derived from its block, so that it is kept once."""

    id: int
    bucket_id: int | None
    reason: str
    received_at: int
    payload: bytes
