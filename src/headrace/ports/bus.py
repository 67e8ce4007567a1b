"""Word that something was stored, for those who wait: the live tail, and `ack=stored`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch was committed: the newest position, the buckets that got events, the blocks it came from."""

    last_seq: int
    bucket_ids: frozenset[int]
    block_ids: frozenset[int]


class Bus(Protocol):
    """A hint, not a record: word may come late, twice or never. Who listens asks the store, and asks again in time."""

    async def publish(self, stored: Stored) -> None:
        """Tell every listener, without waiting for any."""

    def listen(self, wake: Callable[[Stored], None]) -> AbstractAsyncContextManager[None]:
        """Call `wake` (quick, on the event loop) at each word while the context is open."""


