"""Frames that can never be stored, kept with their reason until an administrator replays or forgets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.block import DeadLetter


class DeadLetters(Protocol):
    """Durable; adding one twice keeps one."""

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """Return once they are durable."""

    async def list(
        self, *, bucket_id: int | None = None, since: int | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        """Newest first (by id); `after` is the id of the last one of the page before; `since` is µs of received_at."""

    async def take(self, ids: Sequence[int] | None, since: int | None, limit: int) -> Sequence[DeadLetter]:
        """Those with these ids, or received since; they stay until `remove`."""

    async def remove(self, ids: Sequence[int]) -> None:
        """Forget them: they are back in the queue."""

    async def count(self) -> int:
        """How many there are."""
