"""Dead letters in an SQLite file of their own, through apsw. Few and seldom: one thread and a rollback journal do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw

from headrace.adapters.sqlite._format import Format
from headrace.errors import Unavailable, Unusable
from headrace.model.block import DeadLetter

APPLICATION_ID = 0x48445244  # "HDRD"
FORMAT = 1

_LAYOUT = """
    CREATE TABLE letters (
        id BLOB PRIMARY KEY,            -- a UUID, 16 bytes, big-endian: sorts like the number
        bucket_id INTEGER,
        reason TEXT NOT NULL,
        received_at INTEGER NOT NULL,   -- µs since 1970
        payload BLOB NOT NULL
    );
    CREATE INDEX letters_by_receipt ON letters (received_at);
"""
_ADD = "INSERT INTO letters VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_LIST = """
    SELECT id, bucket_id, reason, received_at, payload FROM letters
    WHERE (?1 IS NULL OR bucket_id = ?1) AND (?2 IS NULL OR received_at >= ?2) AND (?3 IS NULL OR id < ?3)
    ORDER BY id DESC LIMIT ?4
"""
_TAKE_SINCE = """
    SELECT id, bucket_id, reason, received_at, payload FROM letters
    WHERE received_at >= ? ORDER BY received_at, id LIMIT ?
"""
_TAKE_ONE = "SELECT id, bucket_id, reason, received_at, payload FROM letters WHERE id = ?"
_REMOVE = "DELETE FROM letters WHERE id = ?"
_COUNT = "SELECT count(*) FROM letters"

_T = TypeVar("_T")


class SqliteDeadLetters:
    """`ports.dead_letters.DeadLetters` and `ports.snapshot.Snapshot` in one file. Raises Unavailable."""

    def __init__(self, path: Path, connection: apsw.Connection, thread: ThreadPoolExecutor) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread

    @classmethod
    async def open(cls, path: Path) -> SqliteDeadLetters:
        """Open or create the file. Raises Unusable, NewerFormat or Unavailable."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="dead-letters")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, _open, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(path, connection, thread)

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        """See the port."""
        rows = [
            (one.id.to_bytes(16), one.bucket_id, one.reason, one.received_at, one.payload) for one in letters
        ]
        await self._run(lambda: self._write(_ADD, rows))

    async def list(
        self, *, bucket_id: int | None = None, since: int | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        """See the port."""
        position = None if after is None else after.to_bytes(16)
        return await self._run(lambda: self._letters(_LIST, (bucket_id, since, position, limit)))

    async def take(self, ids: Sequence[int] | None, since: int | None, limit: int) -> Sequence[DeadLetter]:
        """See the port."""
        if ids is None:
            return await self._run(lambda: self._letters(_TAKE_SINCE, (since or 0, limit)))
        wanted = list(dict.fromkeys(ids))
        found = await self._run(lambda: [self._letters(_TAKE_ONE, (one.to_bytes(16),)) for one in wanted])
        return [letter for letters in found for letter in letters][:limit]

    async def remove(self, ids: Sequence[int]) -> None:
        """See the port."""
        rows = [(one.to_bytes(16),) for one in ids]
        await self._run(lambda: self._write(_REMOVE, rows))

    async def count(self) -> int:
        """See the port."""
        return await self._run(lambda: int(self._connection.execute(_COUNT).get))

    async def backup(self, directory: str) -> None:
        """Copy the file into `directory`."""
        await self._run(lambda: self._copy(Path(directory) / self._path.name))

    async def close(self) -> None:
        """Let go of the file."""
        await self._run(self._connection.close)
        self._thread.shutdown()

    async def _run(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (apsw.Error, RuntimeError) as exc:  # RuntimeError: the thread has ended
            raise Unavailable(f"the dead letters cannot be reached: {exc}") from exc

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._connection:
            self._connection.executemany(statement, rows)

    def _letters(self, statement: str, bindings: tuple[object, ...]) -> Sequence[DeadLetter]:
        rows = self._connection.execute(statement, bindings)
        return [
            DeadLetter(int.from_bytes(letter_id), bucket_id, reason, received_at, payload)
            for letter_id, bucket_id, reason, received_at, payload in rows
        ]

    def _copy(self, target: Path) -> None:
        copy = apsw.Connection(str(target))
        try:
            with copy.backup("main", self._connection, "main") as backup:
                backup.step()
        finally:
            copy.close()


def _open(path: Path) -> apsw.Connection:
    try:
        connection = apsw.Connection(str(path))
        try:
            _set_up(connection, path)
        except BaseException:
            connection.close(True)
            raise
    except (apsw.NotADBError, apsw.CorruptError) as exc:
        raise Unusable(f"{path} is damaged or not ours: move it away, or restore a backup") from exc
    except (apsw.BusyError, apsw.LockedError) as exc:
        raise Unusable(f"{path} is in use by another program: close that first") from exc
    except apsw.Error as exc:
        raise Unavailable(f"{path} cannot be opened: {exc}") from exc
    return connection


def _set_up(connection: apsw.Connection, path: Path) -> None:
    for setting in ("locking_mode = EXCLUSIVE", "journal_mode = DELETE", "synchronous = FULL", "fullfsync = 1"):
        connection.execute(f"PRAGMA {setting}")
    Format(APPLICATION_ID, FORMAT, _LAYOUT).check(connection, path)
