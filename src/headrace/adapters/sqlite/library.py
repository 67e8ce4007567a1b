"""Which SQLite the queue runs on. It is apsw's own, not the system's (docs/adr/0003)."""

from __future__ import annotations

import apsw


def version() -> str:
    """Of the library in use, such as 3.54.1."""
    return apsw.sqlite_lib_version()
