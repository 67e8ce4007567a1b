"""Mail to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Mail:
    """Plain text. `to` is one address, checked already."""

    to: str
    subject: str
    text: str


class Notifier(Protocol):
    async def send(self, mail: Mail) -> None:
        """Hand it over to whoever delivers it. Raises Unavailable when that cannot be done now, Invalid when never."""
