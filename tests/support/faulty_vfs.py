"""An SQLite VFS whose disk fails on demand: a full disk, writes with an error, fsyncs that fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

Ends = str | tuple[str, ...] | None


class FaultyVfs(apsw.VFS):
    """Each setting names the ends of the file names that it strikes ("" strikes all), None strikes none."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.full: Ends = None
        """Writes fail as on a full disk."""
        self.write_error: Ends = None
        """Writes fail with EIO."""
        self.sync_error: Ends = None
        """fsyncs fail, and what they were to bring to disk may be lost."""
        self.writes_left: int | None = None
        """So many writes work before `full` or `write_error` strike."""
        self.failed: list[tuple[str, str]] = []
        """(what, file) of each call that failed."""

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _FaultyFile:  # noqa: N802
        return _FaultyFile(self, name, flags)

    def strike(self, what: str, ends: Ends, file: str) -> bool:
        if ends is None or not file.endswith(ends):
            return False
        if what == "write" and self.writes_left:
            self.writes_left -= 1
            return False
        self.failed.append((what, file))
        return True


class _FaultyFile(apsw.VFSFile):
    def __init__(self, vfs: FaultyVfs, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._vfs = vfs
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self._vfs.strike("write", self._vfs.full, self._name):
            raise apsw.exception_for(apsw.SQLITE_FULL)
        if self._vfs.strike("write", self._vfs.write_error, self._name):
            raise apsw.exception_for(apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._vfs.strike("sync", self._vfs.sync_error, self._name):
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)


@contextmanager
def faulty_vfs(name: str = "faulty") -> Iterator[FaultyVfs]:
    """Registered under `name` while the context is open."""
    vfs = FaultyVfs(name)
    try:
        yield vfs
    finally:
        vfs.unregister()
