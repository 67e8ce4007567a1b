"""Screenshots small enough for a repository: the same picture as a PNG with a palette, about a third of its bytes."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import partial

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FREQUENT, _RARE = 200, 56  # together what a palette of one byte holds


def smaller(picture: bytes) -> bytes:
    """A PNG of 8 bits a channel, as browsers make them, with 256 of its colours: the most frequent, and those that are
    most unlike them. The rest become their nearest."""
    chunks = dict(_chunks(picture))
    width, height, _, kind = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    size = {2: 3, 6: 4}[kind]
    rows = [_colours(row, size) for row in _rows(zlib.decompress(chunks[b"IDAT"]), width * size, height, size)]
    counted = Counter(colour for row in rows for colour in row)
    palette, nearest = _palette(counted)
    index = {colour: palette.index(nearest[colour]) for colour in counted}
    flat = b"".join(b"\0" + bytes(index[colour] for colour in row) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(flat, 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, content) for name, content in parts)


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """By name; those of one name that follow each other are one."""
    at, joined = len(_SIGNATURE), dict[bytes, bytes]()
    while at < len(picture):
        length, name = struct.unpack(">I4s", picture[at : at + 8])
        joined[name] = joined.get(name, b"") + picture[at + 8 : at + 8 + length]
        at += length + 12
    yield from joined.items()


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _rows(raw: bytes, stride: int, height: int, size: int) -> Iterator[bytearray]:
    """The bytes of each row, its filter undone (PNG, section 9)."""
    above = bytearray(stride)
    for number in range(height):
        start = number * (stride + 1)
        row = bytearray(raw[start + 1 : start + 1 + stride])
        _unfilter(raw[start], row, above, size)
        yield row
        above = row


def _unfilter(how: int, row: bytearray, above: bytearray, size: int) -> None:
    if how == 1:
        for i in range(size, len(row)):
            row[i] = (row[i] + row[i - size]) & 255
    elif how == 2:
        for i, up in enumerate(above):
            row[i] = (row[i] + up) & 255
    elif how == 3:
        for i, up in enumerate(above):
            row[i] = (row[i] + ((row[i - size] if i >= size else 0) + up >> 1)) & 255
    elif how == 4:
        for i, up in enumerate(above):
            left, corner = (row[i - size], above[i - size]) if i >= size else (0, 0)
            row[i] = (row[i] + _paeth(left, up, corner)) & 255


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((left, up, corner), key=lambda one: abs(guess - one))  # the first of equals, as the format says


def _colours(row: bytearray, size: int) -> list[bytes]:
    return [bytes(row[i : i + 3]) for i in range(0, len(row), size)]


def _palette(counted: Counter[bytes]) -> tuple[list[bytes], dict[bytes, bytes]]:
    """The colours to keep, and the one of them that stands for each."""
    palette = [colour for colour, _ in counted.most_common(_FREQUENT)]
    nearest = {colour: min(palette, key=partial(_unlike, colour)) for colour in counted}
    for _ in range(min(_RARE, len(counted) - len(palette))):
        odd = max(counted, key=lambda colour: _unlike(colour, nearest[colour]))
        palette.append(odd)
        nearest = {colour: min(odd, known, key=partial(_unlike, colour)) for colour, known in nearest.items()}
    return palette, nearest


def _unlike(one: bytes, other: bytes) -> int:
    return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2 + (one[2] - other[2]) ** 2
