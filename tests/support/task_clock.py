"""A clock that a test moves: the time of day, or the time of the machine with it."""

from __future__ import annotations

import asyncio

from headrace.kit.times import SECOND


class TaskClock:
    """`ports.clock.Clock`; sleeping takes no time at all."""

    def __init__(self, now: int = 1_900_000_000 * SECOND) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def move(self, seconds: float) -> None:
        """Time passes."""
        self._now += round(seconds * SECOND)
        self._monotonic += seconds

    def set_wrong(self, seconds: float) -> None:
        """The time of day is set, and no time passes."""
        self._now += round(seconds * SECOND)
