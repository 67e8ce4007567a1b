"""A JSON text as lines for people, with every digit and in its own order: never through json.loads or a float.

The text comes from the store and was checked on its way in. Iterative: 100,000 nested arrays are lines too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from headrace.query.filters import MAX_PATH_BYTES

_PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_CLOSE = {"{": "}", "[": "]"}


@dataclass(slots=True)
class Line:
    """`text` is a scalar as JSON, or brackets; `path` leads to a scalar, as in `attr.<path>`, and `value` is what to
    compare with there. None where the filter cannot say it."""

    depth: int
    key: str | None
    text: str
    kind: str
    path: str | None = None
    value: str | None = None
    comma: bool = False


@dataclass(slots=True)
class _Container:
    path: str | None
    opened: Line
    close: str
    count: int = 0


def lines(text: str) -> Iterator[Line]:
    """One line for each scalar, and for each bracket that is not empty inside."""
    stack: list[_Container] = []
    held: Line | None = None  # a line waits for its comma
    key: str | None = None
    for piece in _PIECE.findall(text):
        if piece == ":":
            continue
        if piece == ",":
            if held is not None:
                held.comma = True
            continue
        top = stack[-1] if stack else None
        if top is not None and piece == top.close:
            stack.pop()
            if held is top.opened:
                held.text += piece
                continue
            made = Line(len(stack), None, piece, "bracket")
        elif top is not None and top.close == "}" and key is None:
            key = decoded(piece)
            continue
        else:
            made = _value(piece, stack, key)
            key = None
        if held is not None:
            yield held
        held = made
    if held is not None:
        yield held


def _value(piece: str, stack: list[_Container], key: str | None) -> Line:
    """The line of a scalar, or of a bracket that opens, which then is the top of `stack`."""
    path = _path(stack[-1], key) if stack else ""
    if stack:
        stack[-1].count += 1
    if piece in _CLOSE:
        line = Line(len(stack), key, piece, "bracket")
        stack.append(_Container(path, line, _CLOSE[piece]))
        return line
    if piece[0] == '"':
        content = decoded(piece)
        return Line(len(stack), key, _encoded(content, piece), "string", path, content)
    return Line(len(stack), key, piece, "number" if piece[0] in "-0123456789" else "literal", path, piece)


def _path(parent: _Container, key: str | None) -> str | None:
    if parent.path is None:
        return None
    step = str(parent.count) if key is None else key
    path = f"{parent.path}.{step}" if parent.path else step
    return path if 0 < len(path.encode(errors="replace")) <= MAX_PATH_BYTES - len("attr.") else None


def decoded(piece: str) -> str:
    """What a JSON string says; half a pair of surrogates is left as it is written."""
    try:
        return msgspec.json.decode(piece, type=str)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return piece[1:-1]


def _encoded(content: str, piece: str) -> str:
    """With `\\u00fc` as ü, so that people can read it."""
    return msgspec.json.encode(content).decode() if piece != f'"{content}"' else piece


def value_at(text: str, path: str) -> str | None:
    """The first scalar at `path`, or None."""
    return next((line.value for line in lines(text) if line.path == path), None)
