"""Splitting JSON into its values without decoding them: the items of an array, or objects one after the other.

A 10 GB array is read in constant memory. Broken JSON cannot be read past the fault: there are no lines to hold on to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from headrace.cli.sending.chunks import CHUNK_BYTES
from headrace.cli.sending.source import Source

MOST_VALUE_BYTES = 4 * CHUNK_BYTES
_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_INSIDE = re.compile(_STRING + rb'|([\[{])|([\]}])|(")', re.DOTALL)
_BETWEEN = re.compile(rb"[\s,]*")
_SCALAR = re.compile(_STRING + rb'|[^\s,"\[\]{}]+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Value:
    """One value as it was written, and the line (from 1) on which it begins."""

    line: int
    data: bytes


class Broken(ValueError):
    """The JSON cannot be read from `line` on."""

    def __init__(self, line: int, detail: str) -> None:
        super().__init__(detail)
        self.line = line
        self.detail = detail


def split_values(source: Source) -> Iterator[Value]:
    """The values of a source, the items of a top-level array among them. Raises Broken where it cannot go on."""
    splitter = _Splitter()
    while data := source.read(CHUNK_BYTES):
        yield from splitter.feed(data)
    yield from splitter.end()


class _Splitter:
    """`_rest` is what has not become a value yet; it begins on `_line`."""

    def __init__(self) -> None:
        self._rest = b""
        self._line = 1
        self._in_array = False

    def feed(self, data: bytes, *, is_end: bool = False) -> Iterator[Value]:
        """The values that `data` completes."""
        rest = self._rest + data
        if self._line == 1 and not self._in_array:
            rest = rest.removeprefix(b"\xef\xbb\xbf")
        done = 0
        while (start := _start(rest, done)) < len(rest):
            self._line += rest.count(b"\n", done, start)
            done = start
            if self._is_array_bracket(rest[start]):
                done += 1
                continue
            end = self._end_of(rest, start, is_end)
            if end is None:
                break
            yield Value(self._line, rest[start:end])
            self._line += rest.count(b"\n", start, end)
            done = end
        self._line += rest.count(b"\n", done, start)
        self._keep(rest[start:])

    def end(self) -> Iterator[Value]:
        """The last values. Raises Broken when something is left over."""
        yield from self.feed(b"", is_end=True)
        if self._rest:
            raise Broken(self._line, "the JSON ends in the middle of a value that begins here")
        if self._in_array:
            raise Broken(self._line, "the JSON ends before its array is closed")

    def _is_array_bracket(self, mark: int) -> bool:
        """Whether this opens or closes the top-level array."""
        if mark not in b"[]" or (mark == ord("[")) == self._in_array:
            return False
        self._in_array = mark == ord("[")
        return True

    def _end_of(self, rest: bytes, start: int, is_end: bool) -> int | None:
        if rest[start] in b"]}":
            raise Broken(self._line, f"a {chr(rest[start])!r} that closes nothing")
        if rest[start] in b"[{":
            return _closing(rest, start)
        scalar = _SCALAR.match(rest, start)
        return scalar.end() if scalar and (scalar.end() < len(rest) or is_end) else None

    def _keep(self, rest: bytes) -> None:
        if len(rest) > MOST_VALUE_BYTES:
            raise Broken(self._line, f"a value of more than {MOST_VALUE_BYTES} bytes begins here")
        self._rest = rest


def _start(rest: bytes, done: int) -> int:
    match = _BETWEEN.match(rest, done)
    return match.end() if match else done


def _closing(rest: bytes, start: int) -> int | None:
    """The end of the object or array that opens at `start`, or None when it is not here yet."""
    depth = 0
    for token in _INSIDE.finditer(rest, start):
        match token.lastindex:
            case 1:
                depth += 1
            case 2:
                depth -= 1
                if not depth:
                    return token.end()
            case 3:
                return None
    return None
