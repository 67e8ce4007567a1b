"""The file of the task table: its layout, and how a connection to it is opened. Blocking.

WAL and not exclusive: one connection writes, others read beside it. All of them are of apsw's SQLite.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from headrace.adapters.sqlite._format import Format, require_safe_sqlite
from headrace.errors import Unusable

APPLICATION_ID = 0x48445454  # "HDTT", where file(1) and we look for it
FORMAT = 1
_BUSY_MS = 5000
_CACHE_KIB = 65_536  # the upper pages of eight indexes at 5 million tasks

_LAYOUT = """
    -- Queue, type and owner of tasks, and how many there are in each status: what lists, counts and claims begin with.
    CREATE TABLE lanes (
        lane INTEGER PRIMARY KEY,
        queue TEXT NOT NULL, type TEXT NOT NULL, owner TEXT NOT NULL,
        scheduled INTEGER NOT NULL, queued INTEGER NOT NULL, running INTEGER NOT NULL, succeeded INTEGER NOT NULL,
        failed INTEGER NOT NULL, dead INTEGER NOT NULL, cancelled INTEGER NOT NULL,
        behind INTEGER NOT NULL            -- of those queued, how many wait for their concurrency key
    );
    CREATE INDEX lanes_by_owner ON lanes (owner);
    CREATE TABLE tasks (
        seq INTEGER PRIMARY KEY,
        id BLOB NOT NULL,                  -- a UUIDv7, 16 bytes
        lane INTEGER NOT NULL,
        status INTEGER NOT NULL,           -- its place in _task_rows.STATUSES
        shelf INTEGER NOT NULL,            -- its status, but a running one stands where it was queued: a claim leaves
                                           -- the largest index alone
        priority INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        max_attempts INTEGER NOT NULL,
        lease INTEGER NOT NULL DEFAULT 0,
        behind INTEGER NOT NULL DEFAULT 0, -- one of its concurrency key runs, or comes before it in its lane
        created_at INTEGER NOT NULL,
        run_at INTEGER, started_at INTEGER, finished_at INTEGER, leased_until INTEGER,
        cancel_at INTEGER,                 -- when it was asked to stop, while it runs
        call_back INTEGER,                 -- 1: it ended, and its callback was not seen to
        holder TEXT,
        timeout REAL,
        retry BLOB,
        idempotency_key TEXT,              -- the owner, a zero byte, the key
        concurrency_key TEXT,              -- likewise
        fingerprint BLOB,
        callback_url TEXT,
        error TEXT,
        progress BLOB,
        args BLOB NOT NULL,
        result BLOB                        -- last: the rest is read without it
    );
    CREATE UNIQUE INDEX tasks_by_id ON tasks (id);
    CREATE INDEX tasks_by_lane ON tasks (lane, shelf, id);
    CREATE INDEX tasks_ready ON tasks (lane, priority DESC, id, concurrency_key) WHERE status = 1 AND behind = 0;
    CREATE INDEX tasks_due ON tasks (run_at) WHERE status = 0;
    CREATE INDEX tasks_leased ON tasks (leased_until) WHERE status = 2;
    CREATE INDEX tasks_stopping ON tasks (cancel_at) WHERE cancel_at IS NOT NULL;
    CREATE INDEX tasks_finished ON tasks (finished_at) WHERE status >= 3;
    CREATE INDEX tasks_to_call_back ON tasks (seq) WHERE call_back = 1;
    CREATE UNIQUE INDEX tasks_by_idempotency_key ON tasks (idempotency_key) WHERE idempotency_key IS NOT NULL;
    CREATE UNIQUE INDEX tasks_running_of_key ON tasks (concurrency_key)
        WHERE concurrency_key IS NOT NULL AND status = 2;
    CREATE UNIQUE INDEX tasks_in_front ON tasks (concurrency_key, lane)
        WHERE concurrency_key IS NOT NULL AND status = 1 AND behind = 0;
    CREATE INDEX tasks_behind ON tasks (concurrency_key, lane, priority DESC, id) WHERE behind = 1;
    -- rowid: 2 * seq for the type and the args, 2 * seq + 1 for the result and the error.
    CREATE VIRTUAL TABLE words USING fts5 (
        text, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram'
    );
    CREATE TABLE queues (
        name TEXT PRIMARY KEY,
        paused INTEGER NOT NULL DEFAULT 0, concurrency INTEGER, rate_limit REAL
    ) WITHOUT ROWID;
    CREATE TABLE journal (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        time INTEGER NOT NULL, count INTEGER NOT NULL, first_id BLOB NOT NULL, lines BLOB NOT NULL
    );
    CREATE TABLE leases (last INTEGER NOT NULL);
    INSERT INTO leases VALUES (0);
    CREATE TABLE schedules (
        id BLOB PRIMARY KEY,
        name TEXT NOT NULL, owner TEXT NOT NULL, cron TEXT NOT NULL, timezone TEXT NOT NULL, task BLOB NOT NULL,
        created_at INTEGER NOT NULL, jitter REAL NOT NULL, catch_up TEXT NOT NULL, enabled INTEGER NOT NULL,
        next_at INTEGER, last_at INTEGER, last_task BLOB,
        UNIQUE (owner, name)
    );
    CREATE INDEX schedules_due ON schedules (next_at) WHERE enabled = 1 AND next_at IS NOT NULL;
"""
_FORMAT = Format(APPLICATION_ID, FORMAT, _LAYOUT)


def open_to_write(path: Path, vfs: str | None = None) -> apsw.Connection:
    """Open or create the file. What a crash or a failed fsync left in the WAL is in the file itself, durably, before
    anything is added to it: nobody knows how much of such a WAL is on the disk.

    Raises Unusable, NewerFormat or apsw.Error.
    """
    require_safe_sqlite()
    connection = apsw.Connection(str(path), vfs=vfs)
    try:
        _set_up(connection, path)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except BaseException:
        close_unsynced(connection)
        raise
    return connection


def open_to_read(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A connection that sees what is committed. Raises apsw.Error."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs, statementcachesize=200)
    connection.set_busy_timeout(_BUSY_MS)
    connection.execute("PRAGMA query_only = 1")
    connection.execute("PRAGMA cache_size = -8192")
    return connection


def open_to_copy(path: Path) -> apsw.Connection:
    """A connection that sees what is committed and leaves the file, its WAL and that one's index as they are: the lock
    is exclusive, so that the index is made in memory.

    Raises Unusable, NewerFormat or apsw.Error.
    """
    has_wal = path.with_name(path.name + "-wal").exists()
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        if has_wal:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA query_only = 1")
        with _explaining(path):
            _FORMAT.check(connection, path)
    except BaseException:
        connection.close(True)
        raise
    return connection


def close_unsynced(connection: apsw.Connection) -> None:
    """Close it without a checkpoint."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close(True)


def _set_up(connection: apsw.Connection, path: Path) -> None:
    with _explaining(path):
        connection.set_busy_timeout(_BUSY_MS)
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        _FORMAT.check(connection, path)
        if connection.pragma("journal_mode", "WAL") != "wal":
            raise Unusable(f"{path}: SQLite cannot keep a WAL here")
        for setting in ("synchronous = FULL", "fullfsync = 1", "wal_autocheckpoint = 0"):
            connection.execute(f"PRAGMA {setting}")


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.NotADBError as exc:
        raise Unusable(f"{path} is no task table of Headrace: move it away, or use another data directory") from exc
    except (apsw.BusyError, apsw.LockedError) as exc:
        raise Unusable(f"{path} is in use by another program: close that first") from exc
    except apsw.CorruptError as exc:
        raise Unusable(f"{path} is damaged: restore a backup, or move it away to go on without its tasks") from exc
