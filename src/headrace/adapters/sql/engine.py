"""From a URL to an engine: the only place that knows one engine from another."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from headrace.errors import Unusable

_DRIVERS = {"sqlite": "sqlite+aiosqlite"}
_WAIT_SECONDS = 5  # for the lock of another process, and for the one connection: far longer than any transaction
BEGIN = "headrace_begin"
"""Execution option: the statement that opens a transaction on SQLite; empty for none."""


def open_engine(url: str, *, foreign_keys: bool = True) -> AsyncEngine:
    """An engine for the control data; it connects at first use. Raises Unusable.

    `foreign_keys=False` is for migrations: SQLite changes a table by making it anew, and would take the rows that
    refer to it along.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise Unusable("The URL of the control data cannot be parsed: write sqlite:////path/to/control.db.") from exc
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        known = ", ".join(f"{scheme}:" for scheme in _DRIVERS)
        raise Unusable(f"Control data cannot be kept in {parsed.drivername[:32]!r}; what can be: {known}")
    return _open_sqlite(parsed.set(drivername=driver), foreign_keys)


def file_url(path: Path) -> str:
    """The URL of a database file, whatever characters its path has."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string(hide_password=False)


def sqlite_path(engine: AsyncEngine) -> Path | None:
    """The database file, if it is one."""
    return Path(engine.url.database or "") if engine.dialect.name == "sqlite" else None


def _open_sqlite(url: URL, foreign_keys: bool) -> AsyncEngine:
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
            cursor.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as exc:
            raise Unusable(f"{url.database} is not a database, or a damaged one ({exc}): restore a backup.") from exc
        finally:
            cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get(BEGIN, "BEGIN")
        if statement:
            connection.exec_driver_sql(statement)

    return engine
