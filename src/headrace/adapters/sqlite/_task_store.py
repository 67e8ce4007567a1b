"""The connection that writes the task table, and what becomes of it after a fault. Blocking; for one thread.

After an error other than a full disk the file is closed, by the readers too, and opened anew: SQLite then judges what
the WAL holds, and all of that is brought into the file durably before anything is added. Nothing is synced twice.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import apsw

from headrace.adapters.sqlite._task_book import Book
from headrace.adapters.sqlite._task_file import close_unsynced, open_to_write
from headrace.adapters.sqlite._task_readers import Readers
from headrace.errors import HeadraceError, OutcomeUnknown, Unavailable
from headrace.kit.failpoint import reach

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_WAL_PAGES = 4096  # 16 MiB, then a checkpoint: below, the same pages would be written again and again
_RETRY_SECONDS = 1.0
_MISTAKES = (apsw.ConstraintError, apsw.SQLError, apsw.BindingsError, apsw.MismatchError, apsw.TooBigError)
"""Of one change: the file has nothing to do with them."""
_BACKUP_PAGES = 256  # a step: 2 ms


class TaskStore:
    """Raises Unavailable or OutcomeUnknown, and goes on with the file by itself."""

    def __init__(self, path: Path, readers: Readers, vfs: str | None = None) -> None:
        self._path = path
        self._readers = readers
        self._vfs = vfs
        self._connection: apsw.Connection | None = None
        self._book: Book | None = None
        self._retry_at = 0.0
        self._checkpoint_at = 0.0
        self._wal_pages = 0

    def open(self) -> None:
        """Raises Unusable, NewerFormat or Unavailable."""
        try:
            self._connection = open_to_write(self._path, self._vfs)
            self._connection.set_wal_hook(self._grown)
            self._wal_pages = 0
            self._readers.resume()
            self._book = Book(self._connection)
        except (apsw.Error, OSError) as exc:
            self._let_go()
            raise Unavailable(f"{self._path} cannot be opened: {exc}", retry_after=_RETRY_SECONDS) from exc
        except BaseException:
            self._let_go()
            raise

    def transact(self, run: Callable[[Book], _T]) -> _T:
        """What `run` makes of the book, durable when this returns. It may raise anything: then nothing has changed."""
        book = self._require()
        try:
            book.execute("BEGIN IMMEDIATE")
            made = run(book)
            book.flush()
        except apsw.FullError as exc:
            self._undo()
            raise _full() from exc
        except apsw.Error as exc:
            if isinstance(exc, _MISTAKES):
                self._undo()
                raise
            self._reopen(exc)
            raise Unavailable(f"the task table cannot be written: {exc}") from exc
        except BaseException:
            self._undo()
            raise
        reach("tasks.before_commit")
        self._commit(book)
        reach("tasks.after_commit")
        if self._wal_pages > _WAL_PAGES and time.monotonic() >= self._checkpoint_at:
            self.checkpoint()
        return made

    def checkpoint(self) -> None:
        """Bring the WAL's content into the file."""
        if self._connection is None:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._wal_pages = 0
        except (apsw.FullError, apsw.BusyError, apsw.LockedError):
            self._checkpoint_at = time.monotonic() + _RETRY_SECONDS
        except apsw.Error as exc:
            self._reopen(exc)

    @property
    def has_work(self) -> bool:
        """Whether an idle moment should be used for a checkpoint."""
        return self._connection is not None and self._wal_pages > _WAL_PAGES // 4

    def backup(self, target: Path) -> Iterator[None]:
        """Copy the file, a little at each step; what is written between two steps is in it."""
        self._require()
        assert self._connection
        copy = apsw.Connection(str(target))
        try:
            with copy.backup("main", self._connection, "main") as backup:
                while not backup.done:
                    backup.step(_BACKUP_PAGES)
                    yield
            copy.pragma("journal_mode", "DELETE")  # no WAL beside it
        finally:
            copy.close(True)
        _sync(target)

    def close(self) -> None:
        """Let go of the file; with a checkpoint, if that works."""
        if self._connection is not None:
            with suppress(apsw.Error):
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._readers.close()
        self._let_go()

    def _require(self) -> Book:
        if self._book is None:
            if time.monotonic() < self._retry_at:
                raise Unavailable("the task table cannot be opened", retry_after=_RETRY_SECONDS)
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self.open()
        assert self._book
        return self._book

    def _commit(self, book: Book) -> None:
        try:
            book.execute("COMMIT")
        except apsw.FullError as exc:
            self._undo()
            raise _full() from exc
        except apsw.Error as exc:
            self._reopen(exc)
            raise OutcomeUnknown("the task table could not be written; send it again") from exc

    def _undo(self) -> None:
        """Roll back, and forget what the book knows of the transaction."""
        assert self._connection
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._book = Book(self._connection)
        except apsw.Error as exc:
            self._reopen(exc)

    def _reopen(self, reason: Exception) -> None:
        _log.error("%s is opened anew: %s", self._path, reason)
        self._let_go()
        with suppress(HeadraceError):
            self.open()

    def _let_go(self) -> None:
        self._readers.pause()
        connection, self._connection, self._book = self._connection, None, None
        if connection is not None:
            with suppress(apsw.Error):
                close_unsynced(connection)

    def _grown(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK


def _full() -> Unavailable:
    return Unavailable("the disk of the task table is full: free some space", retry_after=5, code="disk-full")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
