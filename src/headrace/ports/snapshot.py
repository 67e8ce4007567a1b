"""A store that can be copied while it runs."""

from __future__ import annotations

from typing import Protocol


class Snapshot(Protocol):
    async def backup(self, directory: str) -> None:
        """Write a consistent copy into `directory`, one flat file, named as in the data directory.

        Everything acknowledged before the call is in it. Raises Unavailable when it cannot be written now.
        """
