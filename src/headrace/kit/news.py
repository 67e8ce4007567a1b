"""Word that something has changed, for any number of coroutines of one process; none that comes in time is missed."""

from __future__ import annotations

import asyncio


class News:
    """Whoever is going to look notes `count` before, and waits with it after: word that came in between ends the wait
    at once."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """Wake everybody who waits. On the event loop."""
        self.count += 1
        for told in self._waiting:
            if not told.done():
                told.set_result(None)
        self._waiting.clear()

    async def wait(self, seconds: float, seen: int | None = None) -> None:
        """Until there is news that came after `seen` (None: after now), for so long at most."""
        if seen is not None and seen != self.count:
            return
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(told)
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await told
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(told)
