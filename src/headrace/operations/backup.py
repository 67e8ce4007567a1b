"""A backup while everything runs: one copy of each store, as one tar."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from headrace.errors import Conflict
from headrace.kit import tar
from headrace.kit.ids import uuid7
from headrace.kit.times import SECOND, format_time
from headrace.model.audit import AuditRecord
from headrace.model.principal import Principal
from headrace.ports.audit import AuditOutbox
from headrace.ports.clock import Clock
from headrace.ports.snapshot import Snapshot

FORMAT = 1
MANIFEST = "manifest.json"
TEMPORARY = "backup-"  # folders of this prefix in the data directory are left from a crash
_ON_SERVER = (
    "The data is on a database server: back it up with pg_dump, or with a base backup and its archived log "
    "(docs/howto/back-up-and-restore.md)."
)
_CHUNK = 256 * 1024


class Backup:
    """`snapshots` in this order: tasks, queue, events, dead letters, control data.

    Tasks first: a line of their journal that is forwarded in between is then in both copies, and the store knows its
    id.
    Queue first: a block that is drained in between is then in both copies, and the drain of the restored server
    skips it by its id. The other order would have it in neither. Dead letters after events: a letter is durable
    before the store knows its block, so that every block in the copy of the events has its letters in the copy after
    it. Control data last: a bucket made in between is then known, and merely empty; the other order would have
    events of a bucket that nobody knows.
    """

    def __init__(
        self, snapshots: Sequence[Snapshot], directory: Path, clock: Clock, audit: AuditOutbox, version: str
    ) -> None:
        """Copies are made in a folder in `directory`, which needs the room for them while a backup runs."""
        self._snapshots = snapshots
        self._directory = directory
        self._clock = clock
        self._audit = audit
        self._version = version
        self._running = False

    async def stream(self, by: Principal) -> AsyncIterator[bytes]:
        """The tar: a file for each store, and at last a manifest with their sizes and SHA-256, which proves it whole.

        Raises Conflict while another one runs, and where a database server keeps the data.
        """
        if not self._snapshots:
            raise Conflict(_ON_SERVER, code="not-embedded")
        if self._running:
            raise Conflict("A backup is running: try again when it is done.", code="backup-running")
        self._running = True
        folder: Path | None = None
        try:
            await self._record(by)
            folder = await asyncio.to_thread(self._fresh_folder)
            for snapshot in self._snapshots:
                await snapshot.backup(str(folder))
            async for chunk in self._packed(folder):
                yield chunk
        finally:
            self._running = False
            if folder is not None:
                # Not awaited: a client that hung up has us cancelled, and the thread runs to its end all the same.
                asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, folder, True)

    def _fresh_folder(self) -> Path:
        for left in self._directory.glob(TEMPORARY + "*"):
            shutil.rmtree(left, ignore_errors=True)
        return Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self._directory))

    async def _packed(self, folder: Path) -> AsyncIterator[bytes]:
        mtime = self._clock.now() // SECOND
        files: dict[str, dict[str, object]] = {}
        for path, size in await asyncio.to_thread(_files, folder):
            digest = hashlib.sha256()
            yield tar.header(path.name, size, mtime)
            async for chunk in _read(path, size):
                digest.update(chunk)
                yield chunk
            yield tar.padding(size)
            files[path.name] = {"bytes": size, "sha256": digest.hexdigest()}
        manifest = json.dumps(
            {"format": FORMAT, "version": self._version, "made_at": format_time(self._clock.now()), "files": files}
        ).encode()
        yield tar.header(MANIFEST, len(manifest), mtime) + manifest + tar.padding(len(manifest)) + tar.END

    async def _record(self, by: Principal) -> None:
        now = self._clock.now()
        await self._audit.add(AuditRecord(uuid7(now), now, "backup.made", by.id, by.kind, "headrace", "server"))


def _files(folder: Path) -> list[tuple[Path, int]]:
    return [(path, path.stat().st_size) for path in sorted(folder.iterdir())]


async def _read(path: Path, size: int) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while size:
            chunk = await asyncio.to_thread(file.read, min(_CHUNK, size))
            if not chunk:
                raise OSError(f"{path.name} became shorter while it was read")
            size -= len(chunk)
            yield chunk
