"""Whose a SQLite file is and how it is laid out: said in its head, and checked before anything else is done with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import apsw

from headrace.errors import NewerFormat, Unusable

_SAFE_SQLITE = 3_051_003  # the first free of the WAL-reset bug (https://sqlite.org/wal.html#walresetbug)


@dataclass(frozen=True, slots=True)
class Format:
    """`application_id` is where file(1) looks for it; `layout` makes an empty file one of `version`."""

    application_id: int
    version: int
    layout: str

    def check(self, connection: apsw.Connection, path: Path) -> None:
        """An empty file becomes one of ours. Raises NewerFormat, Unusable or apsw.Error."""
        application_id = connection.pragma("application_id")
        version = connection.pragma("user_version")
        if application_id == self.application_id:
            if version > self.version:
                knows = f"this Headrace knows up to {self.version}"
                raise NewerFormat(f"{path} has format {version}, and {knows}: start the newer one again")
            return
        if application_id or connection.execute("SELECT count(*) FROM sqlite_schema").get:
            raise Unusable(f"{path} is a database of another program: move it away, or use another data directory")
        connection.execute(
            f"BEGIN IMMEDIATE; PRAGMA application_id = {self.application_id}; "
            f"PRAGMA user_version = {self.version}; {self.layout}; COMMIT"
        )


def require_safe_sqlite() -> None:
    """Raises Unusable for a library that can corrupt a WAL."""
    if apsw.SQLITE_VERSION_NUMBER < _SAFE_SQLITE:
        raise Unusable(f"SQLite {apsw.sqlite_lib_version()} can corrupt a WAL; install apsw 3.51.3 or newer")
