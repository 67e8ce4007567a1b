"""Restore in two steps that a crash cannot spoil: stage a checked copy beside the data, swap it in at the next start.

    POST /v1/restore ─▶ restore.staging/ ─(fsync, rename)▶ restore.ready/ ─▶ restart ─▶ swap_in() ─▶ the data
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from headrace.errors import Conflict, Invalid, Malformed, TooLarge
from headrace.kit.ids import uuid7
from headrace.kit.tar import BadTar, Member, TarReader
from headrace.model.audit import AuditRecord
from headrace.model.principal import Principal
from headrace.operations.backup import FORMAT, MANIFEST
from headrace.ports.audit import AuditOutbox
from headrace.ports.clock import Clock

STAGING = "restore.staging"
READY = "restore.ready"
REPLACED = "before-restore"
_ON_SERVER = (
    "The data is on a database server: restore it with pg_restore, and start Headrace with the restored database "
    "(docs/howto/back-up-and-restore.md)."
)
_MAY_LACK = frozenset(("tasks.db",))
"""A backup by a version before tasks has none: an empty file, which the next start fills, takes their place."""
_CLEARED = ".cleared"
_RESERVE = 64 * 1024 * 1024  # bytes of disk that a restore leaves to the running server
_MOST_MANIFEST = 1024 * 1024
_BESIDE = ("", "-wal", "-shm", "-journal", ".wal")
"""What SQLite and DuckDB keep beside a file: a log that is not the restored file's own would corrupt it."""


@dataclass(frozen=True, slots=True)
class Staged:
    files: int
    bytes: int


class Restore:
    """`names`: the files that a backup of this profile has, all of them (but for _MAY_LACK) and no other."""

    def __init__(
        self,
        directory: Path,
        names: frozenset[str],
        clock: Clock,
        audit: AuditOutbox,
        *,
        free_bytes: Callable[[], int],
        restart: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._names = names
        self._clock = clock
        self._audit = audit
        self._free_bytes = free_bytes
        self.restart = restart
        """Stop in good order and start again: the restored data is there then."""
        self._running = False

    async def stage(self, by: Principal, chunks: AsyncIterator[bytes]) -> Staged:
        """Unpack and check a backup's tar; it counts only once this returns.

        Raises Malformed for what is no tar or is cut short, Invalid for what is no backup of ours, TooLarge when the
        disk has no room for it, Conflict while another restore runs and where a database server keeps the data.
        """
        if not self._names:
            raise Conflict(_ON_SERVER, code="not-embedded")
        if self._running:
            raise Conflict("A restore is running: wait until the server is back.", code="restore-running")
        self._running = True
        staging = self._directory / STAGING
        try:
            await asyncio.to_thread(_make_anew, staging)
            staged = await self._unpack(TarReader(chunks), staging)
            await asyncio.to_thread(_publish, staging, self._directory / READY)
        except BadTar as exc:
            raise Malformed(f"The backup cannot be read: {exc}.", code="bad-backup") from exc
        finally:
            self._running = False
            if staging.exists():
                asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, staging, True)
        await self._record(by, staged)
        return staged

    async def _unpack(self, reader: TarReader, staging: Path) -> Staged:
        found: dict[str, dict[str, object]] = {}
        manifest: bytes | None = None
        while member := await reader.next():
            if member.name == MANIFEST:
                manifest = await _in_memory(reader, member)
                continue
            self._check(member, found)
            digest = await _to_disk(reader, member, staging / member.name)
            found[member.name] = {"bytes": member.size, "sha256": digest}
        _check_manifest(manifest, found)
        if missing := self._names - found.keys() - _MAY_LACK:
            raise Invalid(f"The backup lacks {', '.join(sorted(missing))}.", code="bad-backup")
        for name in _MAY_LACK - found.keys():
            (staging / name).touch(mode=0o600)
        return Staged(len(found), sum(int(str(file["bytes"])) for file in found.values()))

    def _check(self, member: Member, found: dict[str, dict[str, object]]) -> None:
        if member.name not in self._names:  # which no name with a slash or a `..` is
            raise Invalid(f"{member.name[:100]!r} is no file of a backup.", code="bad-backup")
        if member.name in found:
            raise Invalid(f"{member.name!r} is in the backup twice.", code="bad-backup")
        if member.size > (room := self._free_bytes() - _RESERVE):
            raise TooLarge(f"{member.name} has {member.size} bytes; the disk has room for {max(room, 0)}.")

    async def _record(self, by: Principal, staged: Staged) -> None:
        """Into the data that is about to be replaced: it is kept, and forwarded if the restart leaves time for it."""
        now = self._clock.now()
        attributes = {"files": staged.files, "bytes": staged.bytes}
        await self._audit.add(
            AuditRecord(uuid7(now), now, "backup.restored", by.id, by.kind, "headrace", "server", attributes=attributes)
        )


def swap_in(directory: Path) -> bool:
    """At the start, before anything is opened: put a staged restore in the place of the data; True if there was one.

    What it replaces is kept in `before-restore/` until the next restore. Can be killed and run again at any point.
    """
    ready = directory / READY
    shutil.rmtree(directory / STAGING, ignore_errors=True)
    if not ready.is_dir():
        return False
    if not (ready / _CLEARED).exists():
        _put_aside(directory, ready)
        _fsync_path(directory)
        (ready / _CLEARED).touch()
        _fsync_path(ready)
    for path in ready.iterdir():
        if path.name != _CLEARED:
            path.rename(directory / path.name)
    _fsync_path(directory)
    shutil.rmtree(ready)
    return True


def _put_aside(directory: Path, ready: Path) -> None:
    replaced = directory / REPLACED
    names = [path.name for path in ready.iterdir()]
    old = [directory / (name + suffix) for name in names for suffix in _BESIDE]
    old += [path for name in names for path in directory.glob(f"{Path(name).stem}-[0-9]*")]  # queue-2.db and so on
    if replaced.exists() and all((directory / name).exists() for name in names):
        shutil.rmtree(replaced)  # of an earlier restore; after a crash in here, some of the data is in it already
    replaced.mkdir(mode=0o700, exist_ok=True)
    for path in old:
        if path.exists():
            path.rename(replaced / path.name)


async def _to_disk(reader: TarReader, member: Member, path: Path) -> str:
    digest = hashlib.sha256()
    # Control data hold the digests of passwords, and `headrace restore` runs with whatever umask its caller has.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        async for chunk in reader.content(member):
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(_flush, file)
    return digest.hexdigest()


async def _in_memory(reader: TarReader, member: Member) -> bytes:
    if member.size > _MOST_MANIFEST:
        raise Invalid("The manifest is too long.", code="bad-backup")
    return b"".join([chunk async for chunk in reader.content(member)])


def _check_manifest(manifest: bytes | None, found: dict[str, dict[str, object]]) -> None:
    if manifest is None:
        raise Invalid(f"There is no {MANIFEST} in it: this is not a whole backup.", code="bad-backup")
    try:
        told = json.loads(manifest)
        layout, files = told["format"], told["files"]
    except (ValueError, TypeError, KeyError, RecursionError) as exc:
        raise Invalid("The manifest cannot be read.", code="bad-backup") from exc
    if layout != FORMAT:
        raise Invalid(f"The backup has format {layout!r}; this Headrace knows {FORMAT}.", code="newer-format")
    if files != found:
        raise Invalid("A file differs from what the manifest says of it.", code="bad-backup")


def _make_anew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)


def _publish(staging: Path, ready: Path) -> None:
    _fsync_path(staging)
    shutil.rmtree(ready, ignore_errors=True)
    staging.rename(ready)
    _fsync_path(ready.parent)


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _fsync_path(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
