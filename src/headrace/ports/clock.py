"""Time, so that tests can advance it instead of sleeping."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Wall-clock time: microseconds since 1970 in UTC. May jump."""

    def monotonic(self) -> float:
        """Seconds that never go back, for durations."""

    async def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
