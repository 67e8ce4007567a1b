"""A file or the standard input, as bytes. Compressed files are unpacked on the way."""

from __future__ import annotations

import gzip
import os
import select
import stat
from io import FileIO
from pathlib import Path
from typing import Protocol

from headrace.cli.failure import Failure

_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_SAMPLE_BYTES = 64 * 1024  # enough lines to tell the format


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes | None: ...


class Source:
    """Bytes with a name, read once from front to end. Every method raises Failure when the medium does not go on."""

    def __init__(self, name: str, raw: FileIO) -> None:
        self.name = name
        self._raw = raw
        self._status = os.fstat(raw.fileno())
        self.is_file = stat.S_ISREG(self._status.st_mode)
        self._stream = self._unpacked()
        self._peeked = b""

    @property
    def size(self) -> int | None:
        """Bytes on disk, or None where nobody can know."""
        return self._status.st_size if self.is_file else None

    @property
    def modified(self) -> float | None:
        """When the file was last written, in seconds since 1970: it dates the lines that name no year."""
        return self._status.st_mtime if self.is_file else None

    @property
    def identity(self) -> str | None:
        """The same for one file as long as it exists, even renamed or longer; None for a stream."""
        return f"{self._status.st_dev}:{self._status.st_ino}" if self.is_file else None

    @property
    def version(self) -> str:
        """Changes whenever the file is written to."""
        return str(self._status.st_mtime_ns) if self.is_file else ""

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._raw.closed

    def position(self) -> int:
        """Bytes read so far, as they are on disk."""
        return self._raw.tell() if self.is_file else 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer when a pipe has no more just now; b"" at the end."""
        if self._peeked:
            data, self._peeked = self._peeked[:size], self._peeked[size:]
            return data
        try:
            return self._stream.read(size) or b""
        except (OSError, EOFError, ValueError) as exc:
            raise Failure(f"{self.name} cannot be read on: {exc}") from exc

    def sample(self) -> bytes:
        """The beginning, at least one line of it, to tell the format by. It is read again afterwards."""
        parts: list[bytes] = []
        size = 0
        while size < _SAMPLE_BYTES and (part := self.read(_SAMPLE_BYTES - size)):
            parts.append(part)
            size += len(part)
            if not self.is_file and b"\n" in part:
                break
        self._peeked = b"".join(parts)
        return self._peeked

    def is_silent(self, seconds: float) -> bool:
        """Whether a pipe or a terminal gives nothing for that long."""
        return not self.is_file and not self._peeked and not select.select([self._raw], [], [], seconds)[0]

    def close(self) -> None:
        """Close the file; the standard input stays open."""
        self._raw.close()

    def _unpacked(self) -> _Readable:
        if not self.is_file or not self._raw.seekable():
            return self._raw
        magic = os.pread(self._raw.fileno(), 4, self._raw.tell())
        if magic.startswith(_GZIP):
            return gzip.GzipFile(fileobj=self._raw)
        if magic.startswith(_ZSTD):
            import zstandard

            return zstandard.ZstdDecompressor().stream_reader(self._raw, read_across_frames=True)
        return self._raw


def open_source(path: Path) -> Source:
    """Open a file, or the standard input for `-`. Raises Failure when it cannot be read."""
    if str(path) == "-":
        return Source("standard input", open(0, "rb", buffering=0, closefd=False))
    try:
        if path.is_dir():
            raise Failure(f"{path} is a directory: name the files in it.")
        return Source(str(path), path.open("rb", buffering=0))
    except OSError as exc:
        raise Failure(f"{path} cannot be opened: {exc.strerror}.") from exc
