"""The folders of a spool: one for each process of this machine, kept by a lock, and those that the dead left behind.

`spool/0`, `spool/1`, …: a process takes the first that is free, so one that is started again mostly has its own blocks.
"""

from __future__ import annotations

import logging
from pathlib import Path

from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.adapters.system.directory_lock import DirectoryLock
from headrace.errors import DirectoryLocked, HeadraceError
from headrace.ports.clock import Clock

_log = logging.getLogger(__name__)

_FILE = "queue.db"


class SpoolFolder:
    """A folder with the queue in it that this process alone has open."""

    def __init__(self, path: Path, lock: DirectoryLock, queue: SqliteQueue) -> None:
        self.path = path
        self.queue = queue
        self._lock = lock

    @classmethod
    async def take(cls, spool: Path, clock: Clock, max_bytes: int) -> SpoolFolder:
        """The first that is free. Raises Unusable, NewerFormat or Unavailable."""
        number = 0
        while True:
            try:
                return await cls._open(spool / str(number), clock, max_bytes)
            except DirectoryLocked:
                number += 1

    async def orphan(self, clock: Clock) -> SpoolFolder | None:
        """One with blocks in it whose process is gone, if there is one: take what it holds, then `discard` it."""
        for path in sorted(self.path.parent.iterdir()):
            if path == self.path or not any(path.glob("*.db")):
                continue
            try:
                return await self._open(path, clock, max_bytes=0)  # takes no block
            except DirectoryLocked:
                continue
            except HeadraceError as exc:
                _log.error("the spool %s was left behind and cannot be read: %s", path, exc.detail)
        return None

    async def close(self) -> None:
        """Let go of it; what it holds stays."""
        await self.queue.close()
        self._lock.__exit__(None, None, None)

    async def discard(self) -> None:
        """Remove what is in it, which must be forwarded, and let go of it."""
        await self.queue.close()
        for file in self.path.glob("*.db*"):
            file.unlink(missing_ok=True)
        self._lock.__exit__(None, None, None)

    @classmethod
    async def _open(cls, path: Path, clock: Clock, max_bytes: int) -> SpoolFolder:
        lock = DirectoryLock(path, wait=0)
        lock.__enter__()
        try:
            queue = await SqliteQueue.open(path / _FILE, clock, max_bytes=max_bytes)
        except BaseException:
            lock.__exit__(None, None, None)
            raise
        return cls(path, lock, queue)
