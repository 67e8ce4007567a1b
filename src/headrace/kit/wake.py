"""A bell between two coroutines of one process: rung while nobody listens, it is still heard by the next who does."""

from __future__ import annotations

import asyncio


class Wake:
    """For one listener."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake whoever waits, or the next who will."""
        self._rung.set()

    async def wait(self, seconds: float) -> bool:
        """Until it is rung (True), or for so long."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._rung.wait()
        except TimeoutError:
            return False
        finally:
            self._rung.clear()
        return True
