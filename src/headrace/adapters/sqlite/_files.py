"""The files of a queue: one that takes blocks, and those that only drain. Blocking; for one thread.

`queue.db` is the first; after a failed fsync or a crash the next one (`queue-2.db`, …) takes the blocks, and the one
before is removed once everything in it is acked.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import apsw

from headrace.adapters.sqlite._file import QueueFile, remove
from headrace.errors import HeadraceError, OutcomeUnknown, Unavailable
from headrace.kit.failpoint import reach
from headrace.model.block import Block

_log = logging.getLogger(__name__)

_WAL_BYTES = 16 * 1024 * 1024  # then a checkpoint: 2 ms each while the drain keeps up, 8 ms with a backlog
_DELETES_PER_COMMIT = 64  # about 5 µs each; more would be felt by the put that they ride with
_DELETES_WHEN_IDLE = 512
_SHRINK_BYTES = 64 * 1024 * 1024  # an empty file above this is replaced by a new one
_RETRY_SECONDS = 1.0
_BACKUP_BYTES = 1024 * 1024  # a step: 2 to 3 ms


@dataclass(frozen=True, slots=True)
class Kept:
    """A block that the files hold."""

    seq: int
    block_id: int
    events: int
    size: int


class QueueFiles:
    """Raises Unavailable or OutcomeUnknown; after a failure it goes on with the next file by itself."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self._path = path
        self._vfs = vfs
        self._current: QueueFile | None = None
        self._draining: list[QueueFile] = []
        self._last_number = 0
        self._next_seq = 1
        self._retry_at = 0.0
        self._checkpoint_at = 0.0
        self._wal_limit = _WAL_BYTES

    def open(self) -> list[Kept]:
        """Open what is there, and return its blocks in order. Raises Unusable, NewerFormat or Unavailable."""
        kept: list[Kept] = []
        try:
            for number, path in numbered(self._path):
                self._last_number = number
                kept += self._open_existing(path)
            self._next_seq = kept[-1].seq + 1 if kept else 1
            self._require_current()
        except BaseException:
            self.close()
            raise
        return kept

    def commit(self, blocks: Sequence[tuple[int, Block]]) -> None:
        """Store blocks by seq, durably; some deletes ride along."""
        file = self._require_current()
        acked = file.acked[:_DELETES_PER_COMMIT]
        reach("queue.before_commit")
        self._commit_to(file, blocks, _spans(acked))
        reach("queue.after_commit")
        del file.acked[: len(acked)]
        file.live += len(blocks)
        file.last_seq = blocks[-1][0]
        self._next_seq = file.last_seq + 1
        if file.wal_bytes() > self._wal_limit:
            self._checkpoint(file)

    def read(self, seq: int) -> bytes | None:
        """The payload of a block, or None if it cannot be read (which is logged)."""
        file = self._holding(seq)
        try:
            return file.read(seq) if file else None
        except apsw.Error as exc:
            _log.error("block %d of %s cannot be read, and stays there: %s", seq, file and file.path, exc)
            return None

    def forget(self, seqs: Iterable[int]) -> None:
        """These are acked: delete them some time."""
        for seq in seqs:
            file = self._holding(seq)
            if file:
                file.live -= 1
                file.acked.append(seq)
        for file in [one for one in self._draining if not one.live]:
            self._draining.remove(file)
            file.delete()

    @property
    def has_work(self) -> bool:
        """Whether `tidy` would do something."""
        current = self._current
        return (current is not None and (bool(current.acked) or current.wal_bytes() > self._wal_limit // 4)) or any(
            file.acked for file in self._draining
        )

    def tidy(self) -> None:
        """Do a little of what can wait for an idle moment: deletes, then a checkpoint, then giving space back."""
        for file in self._all():
            if file.acked:
                self._delete_acked(file, _DELETES_WHEN_IDLE)
        current = self._current
        if current is None or current.acked:
            return
        if not current.live and current.bytes_on_disk() > _SHRINK_BYTES:
            self._replace(current)
        elif current.wal_bytes() > self._wal_limit // 4:
            self._checkpoint(current)

    def backup(self, target: Path) -> Iterator[None]:
        """Copy every block into one new file, a little at each step; what is acked meanwhile may be left out."""
        copy = QueueFile.open(target)
        try:
            for file in self._all():
                for part in file.parts(self._next_seq, _BACKUP_BYTES):
                    acked = set(file.acked)
                    copy.commit([one for one in part if one[0] not in acked], ())
                    if copy.wal_bytes() > _WAL_BYTES:
                        copy.checkpoint()
                    yield
        finally:
            copy.close()

    def close(self) -> None:
        """Delete what is acked and let go of the files."""
        for file in self._all():
            self._delete_acked(file, len(file.acked))
        for file in self._all():
            with suppress(apsw.Error):
                file.close()
        self._current = None
        self._draining.clear()

    def _all(self) -> list[QueueFile]:
        return [*self._draining, self._current] if self._current else list(self._draining)

    def _holding(self, seq: int) -> QueueFile | None:
        if self._current and seq >= self._current.first_seq:
            return self._current
        return next((file for file in self._draining if file.first_seq <= seq <= file.last_seq), None)

    def _open_existing(self, path: Path) -> list[Kept]:
        file = self._open(path)
        kept = [Kept(*row) for row in file.index()]
        file.live = len(kept)
        if kept:
            file.first_seq, file.last_seq = kept[0].seq, kept[-1].seq
        if self._current is not None:  # an older file that was closed well, but had been left for a newer one
            self._current.drain_only()
            self._draining.append(self._current)
            self._current = None
        if not kept:
            file.delete()
        elif file.draining:
            self._draining.append(file)
        else:
            self._take_up(file)
        return kept

    def _open(self, path: Path) -> QueueFile:
        try:
            return QueueFile.open(path, self._vfs)
        except (apsw.Error, OSError) as exc:
            raise Unavailable(f"{path} cannot be opened: {exc}", retry_after=_RETRY_SECONDS) from exc

    def _require_current(self) -> QueueFile:
        if self._current is not None:
            return self._current
        if time.monotonic() < self._retry_at:
            raise Unavailable("the queue's file cannot be written", retry_after=_RETRY_SECONDS)
        self._retry_at = time.monotonic() + _RETRY_SECONDS
        self._last_number += 1
        path = _path_of(self._path, self._last_number)
        try:
            file = self._open(path)
        except HeadraceError:
            remove(path)
            raise
        file.first_seq = file.last_seq = self._next_seq
        self._retry_at = 0.0
        self._take_up(file)
        return file

    def _take_up(self, file: QueueFile) -> None:
        self._current = file
        self._checkpoint_at = 0.0
        self._limit_wal(file)

    def _limit_wal(self, file: QueueFile) -> None:
        # A WAL that fills the disk could not even be brought into the file any more.
        self._wal_limit = min(_WAL_BYTES, file.room() // 4)

    def _commit_to(
        self, file: QueueFile, blocks: Sequence[tuple[int, Block]], deleted: Sequence[tuple[int, int]]
    ) -> None:
        try:
            try:
                file.commit(blocks, deleted)
            except apsw.FullError:
                # The WAL is the largest thing here: once it is brought into the file, its space is used again.
                file.checkpoint()
                file.commit(blocks, deleted)
        except apsw.FullError as exc:
            self._make_room()
            raise Unavailable("the queue's disk is full: free some space", retry_after=5, code="disk-full") from exc
        except apsw.Error as exc:
            self._retire(exc)
            raise OutcomeUnknown("the queue's file could not be written; send it again") from exc

    def _retire(self, reason: Exception) -> None:
        """Stop writing blocks to the file: after a failed fsync the kernel may forget what it could not write."""
        file, self._current = self._current, None
        if file is None:
            return
        _log.error("%s takes no more blocks, the next file will: %s", file.path, reason)
        file.drain_only()
        if file.live:
            self._draining.append(file)
        else:
            file.delete()
        with suppress(HeadraceError):
            self._require_current()

    def _make_room(self) -> None:
        """On a full disk even deletes fail; but a file of which nothing is wanted can go."""
        if self._current and not self._current.live:
            self._replace(self._current)

    def _replace(self, file: QueueFile) -> None:
        self._current = None
        file.delete()
        with suppress(HeadraceError):
            self._require_current()

    def _delete_acked(self, file: QueueFile, limit: int) -> None:
        acked = file.acked[:limit]
        try:
            if acked:
                file.commit((), _spans(acked))
                del file.acked[: len(acked)]
        except apsw.FullError:
            self._make_room()
        except apsw.Error as exc:
            if file is self._current:
                self._retire(exc)
            else:
                file.acked.clear()  # the file is removed as a whole in the end

    def _checkpoint(self, file: QueueFile) -> None:
        if time.monotonic() < self._checkpoint_at:
            return
        try:
            file.checkpoint()
            self._limit_wal(file)
        except apsw.FullError:
            self._checkpoint_at = time.monotonic() + _RETRY_SECONDS
        except apsw.Error as exc:
            self._retire(exc)


def _path_of(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def numbered(path: Path) -> list[tuple[int, Path]]:
    """The files of the queue that begins with `path`, in order."""
    pattern = re.compile(rf"{re.escape(path.stem)}-(\d{{1,9}}){re.escape(path.suffix)}")
    found = [(1, path)] if path.exists() else []
    found += [(int(match[1]), one) for one in path.parent.iterdir() if (match := pattern.fullmatch(one.name))]
    return sorted(found)


def _spans(seqs: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of consecutive seqs: one statement deletes a whole range."""
    spans: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if spans and spans[-1][1] + 1 == seq:
            spans[-1] = (spans[-1][0], seq)
        else:
            spans.append((seq, seq))
    return spans
