"""Who waits for the end of a task is told here when it comes about in this process; elsewhere they look again.

At shutdown nobody waits any longer, for an end or for a task to lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

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

    async def wait(self, id: int, seconds: float) -> None:
        """Until it is told of, or for so long."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(id, set())
        waiting.add(event)
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(id, None)
