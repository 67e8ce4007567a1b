"""A tar of flat files as a stream of bytes, both ways, in constant memory.

The standard library reads streams too, but takes a header's word for how much memory to use, follows links, and
blocks the loop; a restore reads what a stranger may have made.
"""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
_MOST_EXTRA = 64 * 1024  # extended headers of a few names and times; more is not one of ours
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE)
_EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE)


class BadTar(ValueError):
    """Not a tar, cut short, or with more in it than flat files."""


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    size: int


def header(name: str, size: int, mtime: int) -> bytes:
    """The header of a regular file, mode 0600; `mtime` in seconds since 1970."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, mtime, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """What follows `size` bytes of content."""
    return bytes(-size % BLOCK)


class TarReader:
    """Members one after the other: `next`, then all of `content`, then `next`. Raises BadTar."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    async def next(self) -> Member | None:
        """The next file, or None at the end mark."""
        while True:
            block = await self._exactly(BLOCK)
            if not block.strip(b"\0"):
                return None
            info = self._parse(block)
            if info.type in _FILES:
                return Member(info.name.removeprefix("./"), info.size)
            await self._skip(info)

    async def content(self, member: Member) -> AsyncIterator[bytes]:
        """The bytes of `member`, in pieces as they arrive."""
        left = member.size
        while left:
            piece = await self._some(left)
            left -= len(piece)
            yield piece
        await self._exactly(-member.size % BLOCK)

    def _parse(self, block: bytes) -> tarfile.TarInfo:
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as exc:
            raise BadTar(f"this is not a tar: {exc}") from exc
        if info.size < 0:
            raise BadTar("a file of negative size")
        return info

    async def _skip(self, info: tarfile.TarInfo) -> None:
        """Pass over the folder entry `.` and over extended headers that only tell of times and owners."""
        if info.type == tarfile.DIRTYPE and info.name.strip("./") == "":
            return
        if info.type not in _EXTENDED or info.size > _MOST_EXTRA:
            raise BadTar(f"{info.name[:100]!r} is not a plain file")
        extra = await self._exactly(info.size + -info.size % BLOCK)
        if any(word in extra for word in (b" path=", b" linkpath=", b" size=", b"GNU.sparse")):
            raise BadTar("an extended header changes a file's name or size")

    async def _some(self, most: int) -> bytes:
        while not self._rest:
            try:
                self._rest = await anext(self._chunks)
            except StopAsyncIteration:
                raise BadTar("the tar ends too early") from None
        piece, self._rest = self._rest[:most], self._rest[most:]
        return piece

    async def _exactly(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while size:
            pieces.append(await self._some(size))
            size -= len(pieces[-1])
        return b"".join(pieces)
