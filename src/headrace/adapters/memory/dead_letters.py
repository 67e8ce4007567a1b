"""Dead letters in memory, for unit tests and for the contract's sake."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.model.block import DeadLetter


class MemoryDeadLetters:
    """`ports.dead_letters.DeadLetters` without its durability."""

    def __init__(self) -> None:
        self._letters: dict[int, DeadLetter] = {}

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        for one in letters:
            self._letters.setdefault(one.id, one)

    async def list(
        self, *, bucket_id: int | None = None, since: int | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        found = [
            one
            for one in self._letters.values()
            if (bucket_id is None or one.bucket_id == bucket_id)
            and (since is None or one.received_at >= since)
            and (after is None or one.id < after)
        ]
        return sorted(found, key=lambda one: one.id, reverse=True)[:limit]

    async def take(self, ids: Sequence[int] | None, since: int | None, limit: int) -> Sequence[DeadLetter]:
        if ids is not None:
            return [self._letters[one] for one in dict.fromkeys(ids) if one in self._letters][:limit]
        found = [one for one in self._letters.values() if one.received_at >= (since or 0)]
        return sorted(found, key=lambda one: (one.received_at, one.id))[:limit]

    async def remove(self, ids: Sequence[int]) -> None:
        for one in ids:
            self._letters.pop(one, None)

    async def count(self) -> int:
        return len(self._letters)
