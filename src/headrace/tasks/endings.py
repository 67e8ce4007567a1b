"""Who waits for the end of a task is told here when it comes about in this process; elsewhere they look again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class Endings:
    """Events by the id of a task, for as long as somebody waits."""

    def __init__(self) -> None:
        self._waiting: dict[int, set[asyncio.Event]] = {}

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
