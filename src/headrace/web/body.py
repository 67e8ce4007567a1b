"""Reading request bodies: bounded while they come in, bounded while they unpack, bounded over all requests at once."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Self

import zstandard

from headrace.errors import HeadraceError, Malformed, Overloaded, TooLarge, Unsupported

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_SENT = 16 * 1024 * 1024
MAX_UNPACKED = 64 * 1024 * 1024
_INLINE = 64 * 1024  # unpacking more than this (about 0.2 ms) goes to a thread
_STALLED_SECONDS = 30.0


class ClientGone(HeadraceError):
    """The client hung up before its body was complete; nobody is left to answer."""

    code = "client-gone"


class Budget:
    """Bytes of bodies that all open requests may hold together."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0

    def share(self) -> Share:
        return Share(self)


class Share:
    """What one request holds of the budget; given back at its end."""

    __slots__ = ("_budget", "_held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._budget.used -= self._held
        self._held = 0

    def take(self, size: int) -> None:
        """Raises Overloaded when all requests together would hold too much."""
        self._budget.used += size
        self._held += size
        if self._budget.used > self._budget.max_bytes:
            raise Overloaded("too many large bodies at once; send it again in a moment", retry_after=1)

    @property
    def left(self) -> int:
        return max(0, self._budget.max_bytes - self._budget.used)


async def read_body(receive: Receive, share: Share, announced: int | None, *, limit: int = MAX_SENT) -> bytes:
    """The body as sent, at most `limit` bytes. Raises TooLarge (checked while reading), Malformed when it stalls."""
    if announced is not None and announced > limit:
        raise TooLarge(f"a body may have {limit} bytes as sent")
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        return await _read_on(receive, share, body, limit)
    if message["type"] == "http.disconnect":
        raise ClientGone("the client hung up")
    share.take(len(body))
    return body


async def _read_on(receive: Receive, share: Share, first: bytes, limit: int) -> bytes:
    chunks, size = [first], len(first)
    share.take(size)
    while True:
        try:
            async with asyncio.timeout(_STALLED_SECONDS):
                message = await receive()
        except TimeoutError:
            raise Malformed(f"no byte of the body came for {_STALLED_SECONDS:.0f} s", code="body-stalled") from None
        if message["type"] == "http.disconnect":
            raise ClientGone("the client hung up")
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise TooLarge(f"a body may have {limit} bytes as sent")
        share.take(len(chunk))
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


async def unpack(body: bytes, encoding: str, share: Share) -> bytes:
    """The body without its Content-Encoding. Raises Unsupported, Malformed, TooLarge or Overloaded."""
    unpacker = _UNPACKERS.get(encoding.strip().lower())
    if unpacker is None:
        raise Unsupported(f"Content-Encoding {encoding[:40]!r} is not understood; use gzip, deflate or zstd, once")
    room = min(MAX_UNPACKED, share.left)
    if len(body) <= _INLINE // 8:
        unpacked = unpacker(body, room)
    else:
        unpacked = await asyncio.to_thread(unpacker, body, room)
    if unpacked is None:
        if room < MAX_UNPACKED:
            raise Overloaded("too many large bodies at once; send it again in a moment", retry_after=1)
        raise TooLarge(f"a body may have {MAX_UNPACKED} bytes once decompressed")
    share.take(len(unpacked))
    return unpacked


def _gunzip(body: bytes, room: int) -> bytes | None:
    """All members of a gzip file, or None when they are larger than `room`."""
    parts: list[bytes] = []
    while body:
        inflater = zlib.decompressobj(wbits=31)
        part = _inflate(inflater, body, room)
        if part is None:
            return None
        parts.append(part)
        room -= len(part)
        body = inflater.unused_data.lstrip(b"\0")
    return b"".join(parts)


def _undeflate(body: bytes, room: int) -> bytes | None:
    """`deflate` is the zlib format (RFC 9110, 8.4.1.2), but some clients send it bare."""
    try:
        return _inflate(zlib.decompressobj(), body, room)
    except Malformed:
        return _inflate(zlib.decompressobj(wbits=-15), body, room)


def _inflate(inflater: zlib._Decompress, body: bytes, room: int) -> bytes | None:
    try:
        part = inflater.decompress(body, room + 1)
    except zlib.error as exc:
        raise Malformed(f"the body cannot be decompressed: {exc}") from exc
    if len(part) > room:
        return None
    if not inflater.eof:
        raise Malformed("the compressed body is cut short")
    return part


def _unzstd(body: bytes, room: int) -> bytes | None:
    try:
        size = zstandard.frame_content_size(body)
        if size > room:
            return None
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=room, allow_extra_data=False)
    except zstandard.ZstdError as exc:
        # With the size unknown, "too small a buffer" and "damaged" are one error; only a stream tells them apart.
        if body and _unzstd_passes(body, room):
            return None
        raise Malformed(f"the body cannot be decompressed: {exc}") from exc


def _unzstd_passes(body: bytes, room: int) -> bool:
    with zstandard.ZstdDecompressor().stream_reader(body) as reader:
        left = room + 1
        try:
            while left > 0 and (part := reader.read(min(left, 1 << 20))):
                left -= len(part)
        except zstandard.ZstdError:
            return False
        return left <= 0


_UNPACKERS: dict[str, Callable[[bytes, int], bytes | None]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _undeflate,
    "zstd": _unzstd,
    "identity": lambda body, room: body,
    "": lambda body, room: body,
}
