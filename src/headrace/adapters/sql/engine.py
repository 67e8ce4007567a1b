"""From a URL to an engine: the only place that knows one engine from another (`engine_postgres` is its other half)."""

from __future__ import annotations

import sqlite3
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from headrace.errors import Unusable

_SCHEMES = {"sqlite": "sqlite", "postgresql": "postgresql", "postgres": "postgresql"}
_CONNECTIONS = 5
_WAIT_SECONDS = 5  # for the lock of another process, and for the one connection: far longer than any transaction
# A whole use, from the wait for a connection to the commit: two hosts that do not answer can be passed over (2 s each).
_SERVER_SECONDS = 6.0

USE = "headrace_use"
"""Execution option: what a transaction is for, one of `Use`. Without it: a plain transaction."""


class Use(StrEnum):
    READ = "read"
    """One statement, in no transaction of ours."""
    CHANGE = "change"
    """A transaction that may wait for others, and is durable once it is committed."""
    MIGRATE = "migrate"
    """The same, one at a time of all processes; statements may take long, but do not wait long for a lock."""


def open_engine(url: str, *, size: int = _CONNECTIONS, migrating: bool = False) -> AsyncEngine:
    """An engine for the control data; it connects at first use. Raises Unusable.

    `size`: connections to a server at most. `migrating` is without foreign keys on SQLite, which changes a table by
    making it anew and would take the rows that refer to it along; and without our limit of time for each statement.
    """
    scheme = url.partition(":")[0]
    engine = _SCHEMES.get(scheme)
    if engine is None:
        known = ", ".join(f"{each}:" for each in _SCHEMES)
        raise Unusable(f"Control data cannot be kept in {_shown(url)}; what can be: {known}")
    if engine == "postgresql":
        from headrace.adapters.sql.engine_postgres import open_postgres

        return open_postgres(url, size, migrating=migrating)
    try:
        return _open_sqlite(make_url(url).set(drivername="sqlite+aiosqlite"), migrating)
    except ArgumentError as exc:
        raise Unusable("The URL of the control data cannot be parsed: write sqlite:////path/to/control.db.") from exc


def file_url(path: Path) -> str:
    """The URL of a database file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string(hide_password=False)


def sqlite_path(engine: AsyncEngine) -> Path | None:
    """The database file, if it is one."""
    return Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None


def patience(engine: AsyncEngine) -> float | None:
    """Seconds that one use of the database may take; None where nothing can hang."""
    return None if sqlite_path(engine) else _SERVER_SECONDS


def _shown(url: str) -> str:
    """What may be said of a URL that cannot be used: it may hold a password."""
    scheme, colon, _ = url.partition(":")
    return repr(scheme[:32]) if colon else "a URL that cannot be parsed"


def _open_sqlite(url: URL, migrating: bool) -> AsyncEngine:
    """One connection, in its own thread: SQLite has one writer, and so nobody waits for a lock inside a process."""
    if not url.database or url.database == ":memory:":
        raise Unusable("Control data must be kept in a file: write sqlite:////path/to/control.db.")
    try:
        Path(url.database).touch(mode=0o600)
    except OSError as exc:
        raise Unusable(f"The control database {url.database} cannot be opened: {exc.strerror}.") from exc
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=_WAIT_SECONDS,
        # No implicit BEGIN, which would leave out reads and changes of tables: ours is sent below.
        connect_args={"isolation_level": None, "timeout": _WAIT_SECONDS},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        try:
            cursor.execute("PRAGMA journal_mode=DELETE")  # this SQLite may have the WAL-reset bug
            # EXTRA is FULL, and syncs the folder after the journal's removal, which is the moment of the commit.
            cursor.execute("PRAGMA synchronous=EXTRA")
            cursor.execute(f"PRAGMA foreign_keys={'OFF' if migrating else 'ON'}")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as exc:
            raise Unusable(f"{url.database} is not a database, or a damaged one ({exc}): restore a backup.") from exc
        finally:
            cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        use = connection.get_execution_options().get(USE)
        if use is None:
            connection.exec_driver_sql("BEGIN")
        elif use != Use.READ:  # taking the write lock at once: who asks for it in mid-transaction may be refused it
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
