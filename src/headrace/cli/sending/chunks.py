"""Cutting a source into chunks of whole lines, in constant memory.

Where a chunk ends depends on the bytes alone, never on how they arrived, so that a second run over the same file cuts
it the same. Only a stream that falls silent is cut early, and only when asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.cli.sending.source import Source

CHUNK_BYTES = 1024 * 1024  # about 2,800 events; the longest line that can be read (the server takes 256 KiB)
CHUNK_LINES = 5_000  # a request may have 100,000 items, and a retry should not repeat much


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines. `first_line` counts from 1; `is_whole` when its end lies where every later run will cut too."""

    first_line: int
    data: bytes
    is_whole: bool


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line of more than CHUNK_BYTES: `size` bytes, of which `beginning` are kept to show."""

    line: int
    size: int
    beginning: bytes


def cut_lines(source: Source, idle_seconds: float | None = None) -> Iterator[Chunk | TooLong]:
    """The chunks of a source. With `idle_seconds`, a stream that is silent for so long gives what it has."""
    rest = b""
    line = 1
    while True:
        rest, ended = _fill(source, rest, idle_seconds)
        if not rest:
            return
        if len(rest) == CHUNK_BYTES and b"\n" not in rest:
            found, rest = _skip_line(source, rest, line)
            line += 1
            yield found
            continue
        cut, is_whole = _cut(rest, ended)
        yield Chunk(line, rest[:cut], is_whole)
        line += rest.count(b"\n", 0, cut)
        rest = rest[cut:]


def _fill(source: Source, rest: bytes, idle_seconds: float | None) -> tuple[bytes, bool]:
    """`rest` made CHUNK_BYTES long, and whether the source ended before that. Shorter after silence, too."""
    parts, size = [rest], len(rest)
    has_line = b"\n" in rest
    while size < CHUNK_BYTES:
        if idle_seconds is not None and has_line and source.is_silent(idle_seconds):
            return b"".join(parts), False
        part = source.read(CHUNK_BYTES - size)
        if not part:
            return b"".join(parts), True
        parts.append(part)
        size += len(part)
        has_line = has_line or b"\n" in part
    return b"".join(parts), False


def _cut(data: bytes, ended: bool) -> tuple[int, bool]:
    """Where the chunk that begins here ends, and whether every run would cut it there."""
    end = data.rfind(b"\n") + 1
    if data.count(b"\n") > CHUNK_LINES:
        return _after_lines(data, CHUNK_LINES), True
    if ended:
        return len(data), False
    return end, len(data) == CHUNK_BYTES


def _after_lines(data: bytes, count: int) -> int:
    position = 0
    for _ in range(count):
        position = data.find(b"\n", position) + 1
    return position


def _skip_line(source: Source, beginning: bytes, line: int) -> tuple[TooLong, bytes]:
    size = len(beginning)
    while part := source.read(CHUNK_BYTES):
        end = part.find(b"\n")
        if end >= 0:
            return TooLong(line, size + end, beginning[:200]), part[end + 1 :]
        size += len(part)
    return TooLong(line, size, beginning[:200]), b""
