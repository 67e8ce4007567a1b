"""One SQLite file of the queue: its layout, its settings and the few statements on it. Blocking; for one thread.

A file is *open* (it takes blocks) or *draining*. A draining file saw a failed fsync or was left behind by a crash:
what it holds is still read and deleted, but it takes no block, and is neither checkpointed nor fsynced again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from headrace.adapters.sqlite._format import Format, require_safe_sqlite
from headrace.errors import Unusable
from headrace.model.block import Block

APPLICATION_ID = 0x48445251  # "HDRQ", where file(1) and we look for it
FORMAT = 1
_PAGE_BYTES = 4096  # 5 KB blocks: 63 µs a commit, against 82 with 8 KiB; 500 KB blocks lose a fifth
_CACHE_KIB = 8192

_LAYOUT = """
    CREATE TABLE blocks (
        seq INTEGER PRIMARY KEY,   -- order of put, over all files of the queue
        id BLOB NOT NULL,          -- the block's UUID, 16 bytes
        events INTEGER NOT NULL,
        payload BLOB NOT NULL      -- last, so that the rest is read without it
    )
"""
_FORMAT = Format(APPLICATION_ID, FORMAT, _LAYOUT)
_INSERT = "INSERT INTO blocks (seq, id, events, payload) VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM blocks WHERE seq BETWEEN ? AND ?"
_READ = "SELECT payload FROM blocks WHERE seq = ?"
_COPY = "SELECT seq, id, events, payload FROM blocks WHERE seq > ? AND seq < ? ORDER BY seq"
_INDEX = "SELECT seq, id, events, length(payload) FROM blocks ORDER BY seq"


class QueueFile:
    """Raises apsw.Error from every method but `open`."""

    def __init__(self, path: Path, connection: apsw.Connection, *, draining: bool) -> None:
        self.path = path
        self.draining = draining
        self.first_seq = self.last_seq = 0
        self.live = 0
        """Blocks committed here and not acked."""
        self.acked: list[int] = []
        """Blocks acked but not deleted yet, in order of their acks."""
        self._connection = connection
        self._execute = connection.execute
        self._pages_at_checkpoint = 0

    @classmethod
    def open(cls, path: Path, vfs: str | None = None) -> QueueFile:
        """Open or create the file. Raises Unusable, NewerFormat or apsw.Error."""
        require_safe_sqlite()
        left_behind = _size(_wal_of(path)) > 0
        connection = apsw.Connection(str(path), vfs=vfs)
        try:
            if left_behind:
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            _set_up(connection, path)
            if left_behind:
                _stop_syncing(connection)
        except BaseException:
            connection.close(True)
            raise
        return cls(path, connection, draining=left_behind)

    def index(self) -> Iterator[tuple[int, int, int, int]]:
        """(seq, block id, events, bytes) of each block, in order of put."""
        for seq, block_id, events, size in self._execute(_INDEX):
            yield seq, int.from_bytes(block_id), events, size

    def commit(self, blocks: Sequence[tuple[int, Block]], deleted: Sequence[tuple[int, int]]) -> None:
        """Insert `blocks` by seq and delete ranges of seqs in one transaction, durable when it returns."""
        if len(blocks) == 1 and not deleted:
            # One statement commits itself: each that we save is one wait less for the GIL.
            self._execute(_INSERT, _row(*blocks[0]))
            return
        self._execute("BEGIN IMMEDIATE")
        try:
            for span in deleted:
                self._execute(_DELETE, span)
            for seq, block in blocks:
                self._execute(_INSERT, _row(seq, block))
            self._execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def read(self, seq: int) -> bytes | None:
        """The payload of a block."""
        payload: bytes | None = self._execute(_READ, (seq,)).get
        return payload

    def wal_bytes(self) -> int:
        """About how much was written to the WAL since the last checkpoint."""
        return (self._pages_written() - self._pages_at_checkpoint) * _PAGE_BYTES

    def checkpoint(self) -> None:
        """Bring the WAL's content into the file; the next transaction begins the WAL anew, in its old space."""
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._pages_at_checkpoint = self._pages_written()

    def bytes_on_disk(self) -> int:
        return _size(self.path) + _size(_wal_of(self.path))

    def room(self) -> int:
        """Bytes that the WAL can take up on this disk, those that it has included."""
        return shutil.disk_usage(self.path.parent).free + _size(_wal_of(self.path))

    def drain_only(self) -> None:
        """Never fsync or checkpoint this file again."""
        self.draining = True
        _stop_syncing(self._connection)

    def parts(self, before: int, size: int, after: int = -1) -> Iterator[list[tuple[int, Block]]]:
        """All blocks with a seq above `after` and below `before`, by seq, about `size` bytes at a time; it can be
        written in between."""
        while True:
            part: list[tuple[int, Block]] = []
            left = size
            for seq, block_id, events, payload in self._execute(_COPY, (after, before)):
                part.append((seq, Block(int.from_bytes(block_id), payload, events)))
                left -= len(payload)
                if left <= 0:
                    break
            if not part:
                return
            after = part[-1][0]
            yield part

    def close(self) -> None:
        self._connection.close(True)

    def delete(self) -> None:
        """Close the file and remove it."""
        _stop_syncing(self._connection)
        with suppress(apsw.Error):
            self.close()
        remove(self.path)

    def _pages_written(self) -> int:
        return self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(apsw.Error):
                self._execute("ROLLBACK")


def remove(path: Path) -> None:
    """Remove a queue file that is closed."""
    for name in (_wal_of(path), path):
        with suppress(OSError):
            name.unlink(missing_ok=True)


def _row(seq: int, block: Block) -> tuple[int, bytes, int, bytes]:
    return seq, block.id.to_bytes(16), block.events, block.payload


def _wal_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _set_up(connection: apsw.Connection, path: Path) -> None:
    try:
        # Exclusive: the WAL's index lives in memory, and no other program can write, checkpoint or lock us out.
        for setting in ("locking_mode = EXCLUSIVE", f"page_size = {_PAGE_BYTES}", f"cache_size = -{_CACHE_KIB}"):
            connection.execute(f"PRAGMA {setting}")
        _FORMAT.check(connection, path)
        if connection.pragma("journal_mode", "WAL") != "wal":
            raise Unusable(f"{path}: SQLite cannot keep a WAL here")
        for setting in ("synchronous = FULL", "fullfsync = 1", "wal_autocheckpoint = 0"):
            connection.execute(f"PRAGMA {setting}")
        # Takes the exclusive lock now rather than at the first block.
        connection.execute("BEGIN IMMEDIATE; ROLLBACK")
    except apsw.NotADBError as exc:
        raise Unusable(f"{path} is not a queue of Headrace: move it away, or use another data directory") from exc
    except (apsw.BusyError, apsw.LockedError) as exc:
        raise Unusable(f"{path} is in use by another program: close that first") from exc
    except apsw.CorruptError as exc:
        raise Unusable(f"{path} is damaged: restore a backup, or move it away to go on without its blocks") from exc



def _stop_syncing(connection: apsw.Connection) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    with suppress(apsw.Error):
        connection.execute("PRAGMA synchronous = OFF")
