"""JSON as text: what can be said of a body, and where it can be cut, before its items are decoded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

SLICE_BYTES = 256 * 1024
"""Of lines that are worked on in one go: about 1 ms of decoding; no line that is too long fits into it."""
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode

_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89aAbB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89aAbB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
_ESCAPE = re.compile(
    rb"\\u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)


def has_bad_escape(raw: bytes) -> bool:
    r"""Whether `\u0000` or half a surrogate pair is escaped anywhere. One memchr when there is no backslash."""
    if b"\\" not in raw or b"\\u" not in raw:
        return False
    unescaped = raw.replace(b"\\\\", b"__")  # an escaped backslash does not begin an escape
    return b"\\u0000" in unescaped or _LONE_SURROGATE.search(unescaped) is not None


def _mark_lone_surrogates(raw: bytes) -> bytes:
    r"""`raw` with each half of a surrogate pair escaped as `\u0000`, which a JSON parser can pass over; same length."""
    return _ESCAPE.sub(lambda match: b"\\u0000" if match["lone"] else match[0], raw)


def array_items(body: bytes) -> list[bytes]:
    """The items of a JSON array, undecoded. Raises one of UNDECODABLE when it is no array.

    What a decoder stops at although it could tell where the item ends (half a surrogate pair, deep nesting) is left to
    the item's own check, so that its neighbours are not lost with it.
    """
    if has_bad_escape(body):
        body = _mark_lone_surrogates(body)
    try:
        return [bytes(item) for item in _decode_array(body)]
    except RecursionError:
        return _split_deep_array(body)


def _split_deep_array(body: bytes) -> list[bytes]:
    """Cut at the commas of the outermost array, without a stack; about 0.3 µs a bracket, comma or string."""
    items: list[bytes] = []
    depth = begin = 0
    for token in _STRUCTURE.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
            begin = token.end() if depth == 1 else begin
        elif (mark == b"," and depth == 1) or (mark in (b"]", b"}") and depth == 1):
            items.append(body[begin : token.start()])
            begin = token.end()
        depth -= mark in (b"]", b"}")
    if depth or body[begin:].strip():
        raise msgspec.DecodeError("JSON is malformed: the array does not end")
    return items


def is_utf8(raw: bytes) -> bool:
    """Whether these bytes are text."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def line_slices(body: bytes) -> Iterator[bytes]:
    """Whole lines, about `SLICE_BYTES` together; a line that is longer comes alone."""
    begin, end = 0, len(body)
    while begin < end:
        if end - begin <= SLICE_BYTES:
            yield body[begin:] if begin else body
            return
        cut = body.rfind(b"\n", begin, begin + SLICE_BYTES)
        if cut < 0:
            cut = body.find(b"\n", begin)
            cut = end if cut < 0 else cut
        yield body[begin:cut]
        begin = cut + 1


def array_slices(items: Sequence[bytes]) -> Iterator[bytes]:
    """The items as lines: in valid JSON a line break is only ever white space between tokens."""
    begin = size = 0
    for index, item in enumerate(items):
        size += len(item) + 1
        if size > SLICE_BYTES and index > begin:
            yield b"\n".join([one.replace(b"\n", b" ") for one in items[begin:index]])
            begin, size = index, len(item) + 1
    if begin < len(items):
        yield b"\n".join([one.replace(b"\n", b" ") for one in items[begin:]])
