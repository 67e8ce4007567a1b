"""A clock that stands still until a test advances it."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count

from headrace.kit.times import SECOND

_TURNS = 25  # of the event loop: enough for a chain of tasks to come to rest


class MemoryClock:
    def __init__(self, now: int = 1_790_000_000 * SECOND) -> None:
        self._now = now
        self._monotonic = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let so much time pass: who sleeps wakes in order and at its own time, and runs until it rests."""
        until = self._monotonic + seconds
        await self._rest()
        while self._sleepers and self._sleepers[0][0] <= until:
            at, _, woken = heapq.heappop(self._sleepers)
            self._pass(max(at, self._monotonic))
            if not woken.done():
                woken.set_result(None)
                await self._rest()
        self._pass(until)
        await self._rest()

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, either way, as an administrator does."""
        self._now += round(seconds * SECOND)

    def _pass(self, monotonic: float) -> None:
        self._now += round((monotonic - self._monotonic) * SECOND)
        self._monotonic = monotonic

    async def _rest(self) -> None:
        for _ in range(_TURNS):
            await asyncio.sleep(0)
