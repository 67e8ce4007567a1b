"""Where the files of finished exports lie: one for each task, under its id, in a folder of this machine.

A file appears whole or not at all: it is written under another name, made durable, and renamed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import Unavailable
from headrace.kit.ids import format_id, parse_id

NARROWED = "narrowed."
"""Before the extension of a file that holds only what its maker could see of the bucket. It is the name that says so,
since whoever leases a task over HTTP may write into its result what they like."""
_UNFINISHED = ".part"
_GATHERED_BYTES = 1024 * 1024  # for one turn in a thread, which costs 0.1 ms by itself
_LOOK_BYTES = 16 * 1024 * 1024  # between two looks at the free disk
_READ_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is there."""

    path: Path
    task_id: int | None
    """None: of a file that nobody finished."""
    changed_at: float
    """Seconds since 1970."""
    size: int

    @property
    def is_narrowed(self) -> bool:
        return f".{NARROWED}" in self.path.name


class ExportFolder:
    """`free_bytes`: what is free on its disk, of which it leaves `leave_bytes` to everything else."""

    def __init__(self, path: Path, free_bytes: Callable[[], int], leave_bytes: int) -> None:
        self._path = path
        self._free_bytes = free_bytes
        self._leave_bytes = leave_bytes

    async def begin(self, task_id: int, extension: str, *, narrowed: bool) -> ExportWriting:
        """A new file for this task, in place of any that it has once it is finished. Raises Unavailable."""
        name = f"{format_id(task_id)}.{NARROWED if narrowed else ''}{extension}"
        writing = ExportWriting(self._path / name, self._check_space)
        await writing.open()
        return writing

    async def find(self, task_id: int, extension: str) -> Kept | None:
        """The file of this task, if it is on this machine."""
        stem = format_id(task_id)
        paths = [self._path / f"{stem}.{kind}{extension}" for kind in ("", NARROWED)]
        return await asyncio.to_thread(lambda: next((kept for path in paths if (kept := _look(path))), None))

    async def list(self) -> Sequence[Kept]:
        """Every file of ours that is there."""
        return await asyncio.to_thread(self._list)

    async def delete(self, kept: Kept) -> None:
        """For good. It may be gone already."""
        await asyncio.to_thread(kept.path.unlink, missing_ok=True)

    def _list(self) -> Sequence[Kept]:
        if not self._path.is_dir():
            return []
        return [kept for path in sorted(self._path.iterdir()) if (kept := _look(path))]

    def _check_space(self, coming: int) -> None:
        free = self._free_bytes()
        if free < self._leave_bytes + coming:
            raise Unavailable(
                f"There is too little room for this export: {free >> 20} MiB of the disk are free, of which "
                f"{self._leave_bytes >> 20} MiB are left alone. Make room, or export less at once.",
                retry_after=60.0,
                code="disk-full",
            )


class ExportWriting:
    """One file in the making. `size` and `digest` are of what it holds so far."""

    def __init__(self, path: Path, check_space: Callable[[int], None]) -> None:
        self.path = path
        self.size = 0
        self.digest = hashlib.sha256()
        self._check_space = check_space
        self._unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_UNFINISHED}")
        self._file = -1
        self._gathered = bytearray()
        self._looked = -_LOOK_BYTES

    async def open(self) -> None:
        """Raises Unavailable."""
        await self._in_thread(self._open)

    async def write(self, piece: bytes) -> None:
        """Raises Unavailable when the disk is full, or nearly so."""
        self._gathered += piece
        self.size += len(piece)
        if len(self._gathered) >= _GATHERED_BYTES:
            await self._in_thread(self._write)

    async def finish(self) -> None:
        """Now it is there, and stays. Raises Unavailable."""
        await self._in_thread(self._finish)

    async def abandon(self) -> None:
        """Leave nothing behind. Does nothing to a finished file."""
        await asyncio.to_thread(self._abandon)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """To its end even when we are cancelled: nobody closes a file that a thread writes to."""
        doing = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            raise
        except OSError as exc:
            raise Unavailable(
                f"The export cannot be written to {self.path.parent}: {exc.strerror or exc}.", retry_after=60.0
            ) from exc

    def _open(self) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def _write(self) -> None:
        if self.size - self._looked >= _LOOK_BYTES:
            self._check_space(_LOOK_BYTES)
            self._looked = self.size
        self.digest.update(self._gathered)
        rest = memoryview(self._gathered)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._gathered = bytearray()

    def _finish(self) -> None:
        self._write()
        os.fsync(self._file)
        os.close(self._file)
        self._file = -1
        self._unfinished.rename(self.path)
        _remove_twin(self.path)
        _sync_folder(self.path.parent)

    def _abandon(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._unfinished.unlink(missing_ok=True)


async def pieces_of(kept: Kept) -> AsyncIterator[bytes]:
    """What the file holds. Raises FileNotFoundError with the first piece when it has just gone."""
    file = await asyncio.to_thread(kept.path.open, "rb")
    try:
        while piece := await asyncio.to_thread(file.read, _READ_BYTES):
            yield piece
    finally:
        file.close()


def _look(path: Path) -> Kept | None:
    try:
        status = path.stat()
    except OSError:
        return None
    try:
        task_id = parse_id(path.name.partition(".")[0])
    except ValueError:
        task_id = None
    if task_id is None and not path.name.endswith(_UNFINISHED):
        return None
    return Kept(path, task_id, status.st_mtime, status.st_size)


def _remove_twin(path: Path) -> None:
    """An earlier attempt may have seen more, or less, of the bucket."""
    stem, _, rest = path.name.partition(".")
    other = rest.removeprefix(NARROWED) if rest.startswith(NARROWED) else f"{NARROWED}{rest}"
    path.with_name(f"{stem}.{other}").unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
