"""Functions that the event store's queries call inside the server."""

from __future__ import annotations

FUNCTIONS: tuple[str, ...] = ()
