"""A file format of exports: events in, pieces of a file out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.event import StoredEvent


class ExportWriter(Protocol):
    """One file in the making, in constant memory. Just let go of it to give up."""

    async def write(self, events: Sequence[StoredEvent]) -> bytes:
        """The next piece of the file; empty while it gathers. Holds the event loop for 1 ms at most, for 100 events."""

    async def finish(self) -> bytes:
        """The last piece. A file without events is valid too."""


class ExportFormat(Protocol):
    @property
    def content_type(self) -> str:
        """As in the HTTP header."""

    @property
    def extension(self) -> str:
        """Of the file's name, without the dot."""

    def begin(self, bucket: str) -> ExportWriter:
        """Start a file of events of the bucket of this name."""
