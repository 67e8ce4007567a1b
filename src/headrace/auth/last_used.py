"""When keys were last seen: remembered in memory, and written down once a minute for all of them together."""

from __future__ import annotations

from contextlib import suppress

from headrace.errors import Unavailable
from headrace.ports.keys import Keys


class LastUsed:
    """`note` is cheap and never waits. What was not written when the process was killed is lost: a minute."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._seen: dict[str, int] = {}

    def note(self, key_id: str, time: int) -> None:
        """This key was used at `time` (µs since 1970)."""
        if time > self._seen.get(key_id, 0):
            self._seen[key_id] = time

    async def step(self) -> int:
        """Write down what was noted. Raises Unavailable: it is then kept for the next step."""
        if not self._seen:
            return 0
        writing, self._seen = self._seen, {}
        try:
            await self._keys.touch(writing)
        except BaseException:
            for key_id, time in writing.items():
                self.note(key_id, time)
            raise
        return 0

    async def close(self) -> None:
        """The last write; when it fails, the figures are a minute old."""
        with suppress(Unavailable):
            await self.step()
