"""Who waits for the end of a task is told here when it comes about in this process; elsewhere they look again.

At shutdown nobody waits any longer, for an end or for a task to lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

There = Callable[[], bool]
"""Whether whoever waits is still there."""


def always() -> bool:
    """Who does not go away."""
    return True


class Endings:
    """Events by the id of a task, for as long as somebody waits."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self.stopped = False
        """Whether waiting is over: the server stops."""

    def stop(self) -> None:
        """Let nobody wait any longer: for good."""
        self.stopped = True
        for events in self._waiting.values():
            for event in events:
                event.set()

    def tell(self, ids: Iterable[int]) -> None:
        """These have ended."""
        if not self._waiting:
            return
        for one in ids:
            for event in self._waiting.get(one, ()):
                event.set()

    @contextmanager
    def listening(self, id: int) -> Iterator[Ending]:
        """Word of the end of `id`, from now on: what comes between a look at the task and the wait is not missed."""
        ending = Ending()
        waiting = self._waiting.setdefault(id, set())
        waiting.add(ending.told)
        try:
            yield ending
        finally:
            waiting.discard(ending.told)
            if not waiting:
                self._waiting.pop(id, None)


class Ending:
    """Of one task, for one who waits."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Until it was told of since the last wait, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self.told.wait()
        except TimeoutError:
            pass
        self.told.clear()
