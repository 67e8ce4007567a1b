"""A disk that loses what was not fsynced when the process dies, as a power cut would: the page cache of this machine
outlives a SIGKILL, so that without it a missing fsync would never show."""

from __future__ import annotations

import apsw


class PowerCutVfs(apsw.VFS):
    """Writes stay in this process until xSync brings them to the real file."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> _CachedFile:  # noqa: N802
        return _CachedFile(name, flags)


class _CachedFile(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        size = super().xFileSize()
        self._image = bytearray(super().xRead(size, 0)) if size else bytearray()
        self._unsynced: list[tuple[int, bytes]] = []

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._image)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return bytes(self._image[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        gap = offset + len(data) - len(self._image)
        if gap > 0:
            self._image.extend(bytes(gap))
        self._image[offset : offset + len(data)] = data
        self._unsynced.append((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._flush()
        del self._image[size:]
        super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._flush()
        super().xSync(flags)

    def _flush(self) -> None:
        for offset, data in self._unsynced:
            super().xWrite(data, offset)
        self._unsynced.clear()
