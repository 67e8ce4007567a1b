"""The secret that seals what is stored, where processes on several machines share nothing but the control data."""

from __future__ import annotations

from typing import Protocol


class SharedSecret(Protocol):
    """Read at start only. Raises Unavailable when the control data cannot be reached."""

    @property
    def place(self) -> str:
        """Where it is, for messages to people."""

    async def find(self) -> str | None:
        """The secret; None before there is one."""

    async def keep(self, secret: str) -> str:
        """Keep `secret`, durably, and return it; when there is one by now, leave that and return it instead."""
