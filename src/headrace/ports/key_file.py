"""The file that holds the bootstrap admin key: where the person at the machine, and the CLI, find it."""

from __future__ import annotations

from typing import Protocol


class KeyFile(Protocol):
    """Small and read at start only, so it may block. Raises Unusable when it cannot be read or written."""

    @property
    def place(self) -> str:
        """Where it is, for messages to people."""

    def read(self) -> str | None:
        """The text in it, without the white space around it; None when there is no file."""

    def create(self, text: str) -> str:
        """Make the file, durable and for the owner alone, and return `text`.

        Never half-written, and never over another: when one is there by now, leave it and return what it holds.
        """
