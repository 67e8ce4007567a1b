"""The DuckDB file: opened with our settings, checked, and opened anew after an error that DuckDB does not outlive."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from headrace.adapters.duckdb import schema
from headrace.errors import DirectoryLocked, NewerFormat, Unavailable, Unusable

_KEEP_LOG = "1TB"
_PATIENCE = 50  # tries of a checkpoint, in half a second


@dataclass(frozen=True, slots=True)
class DuckDBOptions:
    """Sizes in bytes, times in seconds."""

    path: Path
    memory_limit: int = 256 << 20
    threads: int = 2
    query_timeout: float = 30.0
    max_reads: int = 4
    max_waiting: int = 32
    """Reads that may wait for one of `max_reads` to end; beyond: Overloaded."""
    checkpoint_bytes: int = 64 << 20
    """Size of the log at which it goes into the file: replayed at 3.5 ms/MB; with 16 MB a row costs twice as much."""
    spill_bytes: int = 2 << 30
    """Disk that large reads may use while they run."""
    read_only: bool = False
    """Nothing in the file is changed, not even its log brought in."""


class Busy(Unavailable):
    """A checkpoint has to wait."""


class Database:
    """The file and the one connection that writes; `cursor()` makes others that read."""

    def __init__(self, options: DuckDBOptions) -> None:
        self._options = options
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._keep_log = False

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection that writes. Only the writing thread may use it."""
        if self._connection is None:
            raise Unavailable("the event store is closed")
        return self._connection

    @property
    def path(self) -> Path:
        return self._options.path

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the same file."""
        return self.connection.cursor()

    def open(self) -> None:
        """Open the file, or make it. Raises NewerFormat, DirectoryLocked, Unusable or Unavailable."""
        _check_kind(self._options.path)
        try:
            connection = duckdb.connect(
                str(self._options.path), read_only=self._options.read_only, config=self._config()
            )
        except (duckdb.IOException, duckdb.SerializationException) as exc:
            raise _why_not(self._options.path, exc) from exc
        except duckdb.Error as exc:
            raise Unavailable(f"cannot open {self._options.path}: {exc}") from exc
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._keep_log = connection, False

    def close(self) -> None:
        """Let go of the file; what is in the log goes into it, so that the next start is quick."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(duckdb.Error):  # after a fatal error every call fails, and the log has what was committed
                connection.close()

    def keep_log(self, keep: bool) -> None:
        """While kept, commits only add to the log and to unused blocks of the file: it can be copied as it is."""
        size = _KEEP_LOG if keep else f"{self._options.checkpoint_bytes}B"
        self.connection.execute(f"SET GLOBAL checkpoint_threshold = '{size}'")
        self._keep_log = keep

    def checkpoint(self) -> None:
        """Bring the log into the file, and free what deletes have left; not while the log is kept.

        Raises Busy when a read of another connection stays in the way.
        """
        for _ in range(0 if self._keep_log else _PATIENCE):
            try:
                self.connection.execute("CHECKPOINT")
            except duckdb.TransactionException as exc:
                if "Cannot CHECKPOINT" not in str(exc):
                    raise
                time.sleep(0.01)
            else:
                return
        if not self._keep_log:
            raise Busy("the event store is busy with long queries: try again in a moment")

    def _config(self) -> dict[str, str | bool | int | float | list[str]]:
        options = self._options
        return {
            "threads": options.threads,
            "memory_limit": f"{options.memory_limit}B",
            "checkpoint_threshold": f"{options.checkpoint_bytes}B",
            "temp_directory": f"{options.path}.tmp",
            "max_temp_directory_size": f"{options.spill_bytes}B",
            # Otherwise two threads cut a row group of input into 110,592 and 12,288 rows, and the next checkpoint
            # writes everything again. Whatever needs an order has an ORDER BY.
            "preserve_insertion_order": False,
            # A page of 1,000 and an offset of 10,000: the rows are fetched after the sort, the sort needs few columns.
            "late_materialization_max_rows": 12_000,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }


def _check_kind(path: Path) -> None:
    """DuckDB would fetch an extension to open a SQLite file. Raises Unusable."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        head = file.read(12)
        if head and head[8:] != b"DUCK":
            raise Unusable(f"{path} is not a DuckDB file: move it away, or choose another data directory")


def _prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of a new file; check the format of an old one. Raises NewerFormat or Unusable."""
    tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
    if not tables:
        connection.execute("BEGIN")
        for statement in schema.TABLES:
            connection.execute(statement)
        connection.execute("COMMIT")
        return
    if ("meta",) not in tables:
        raise Unusable("the event store's file holds something else: move it away, or choose another data directory")
    formats = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchall()
    if not formats or formats[0][0] > schema.FORMAT:
        found = f"format {formats[0][0]}" if formats else "no known format"
        raise NewerFormat(f"the event store has {found}; this one reads up to {schema.FORMAT}: use a newer Headrace")


def _why_not(path: Path, exc: duckdb.Error) -> Unusable | Unavailable:
    text = str(exc)
    if "Conflicting lock" in text:
        return DirectoryLocked(f"another process has {path} open: stop it, or choose another data directory")
    if "older version" in text or "newer version" in text:
        return Unusable(f"{path} cannot be read by this Headrace: {text}")
    return Unavailable(f"cannot open {path}: {text}")
