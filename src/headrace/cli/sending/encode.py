"""From the bytes of a source to batches, one generator per format. What need not change is not decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo

import msgspec

from headrace.cli.sending.batch import Batch, Keys, OfLines, OfValues, Refused
from headrace.cli.sending.chunks import CHUNK_BYTES, CHUNK_LINES, TooLong, cut_lines
from headrace.cli.sending.defaults import Defaults
from headrace.cli.sending.detect import Format
from headrace.cli.sending.json_values import Broken, Value, split_values
from headrace.cli.sending.source import Source
from headrace.cli.sending.text_lines import LogLines

_BOM = b"\xef\xbb\xbf"
_json = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read a source. With `idle_seconds`, a stream silent for so long has what it gave sent; None: never."""

    format: Format
    defaults: Defaults
    zone: tzinfo | None = None
    idle_seconds: float | None = None


def batches(source: Source, reading: Reading, keys: Keys) -> Iterator[Batch | Refused]:
    """The batches of a source in order, and what cannot be sent at all."""
    if reading.format is Format.JSON:
        return _of_values(source, reading.defaults, keys)
    encode = _Text(source, reading) if reading.format is Format.TEXT else _Ndjson(reading.defaults)
    return _of_lines(source, reading.idle_seconds, keys, encode)


class _Ndjson:
    """NDJSON is sent as it is, unless defaults are to be put in."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults

    def __call__(self, data: bytes) -> bytes:
        if not self._defaults:
            return data
        into = self._defaults.into
        return b"\n".join([into(line) for line in data.split(b"\n") if line.strip()])


class _Text:
    """Each line becomes an event; bytes that are no UTF-8, and NUL, are written as their escapes."""

    def __init__(self, source: Source, reading: Reading) -> None:
        self._lines = LogLines(source.modified, reading.zone)
        self._level = reading.defaults.level
        self._members = reading.defaults.json_members(but=("level", "time", "message")) + b"}"

    def __call__(self, data: bytes) -> bytes:
        text = data.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        encode = self._event
        return b"\n".join([encode(line.removesuffix("\r")) for line in text.split("\n") if line.strip()])

    def _event(self, text: str) -> bytes:
        line = self._lines.read(text)
        level = line.level or self._level
        return (
            (f'{{"time":"{line.time}",' if line.time else "{").encode()
            + (f'"level":"{level}",' if level else "").encode()
            + b'"message":'
            + _json(line.message)
            + self._members
        )


def _of_lines(
    source: Source, idle_seconds: float | None, keys: Keys, encode: _Text | _Ndjson
) -> Iterator[Batch | Refused]:
    for chunk in cut_lines(source, idle_seconds):
        if isinstance(chunk, TooLong):
            detail = f"the line has {chunk.size} bytes; an event may have 262144"
            yield Refused(source.name, chunk.line, "too-large", detail, chunk.beginning)
            continue
        data = chunk.data.removeprefix(_BOM) if chunk.first_line == 1 else chunk.data
        key = keys.next(data, is_whole=chunk.is_whole)
        body = encode(data)
        if body and not body.isspace():
            yield Batch(source.name, key, body, OfLines(chunk.first_line, data))


def _of_values(source: Source, defaults: Defaults, keys: Keys) -> Iterator[Batch | Refused]:
    gathered: list[bytes] = []
    lines: list[int] = []
    size = 0
    try:
        for value in split_values(source):
            data = _on_one_line(value)
            if data is None:
                yield Refused(source.name, value.line, "invalid-json", "this value is not valid JSON", value.data)
                continue
            gathered.append(defaults.into(data) if defaults else data)
            lines.append(value.line)
            size += len(data)
            if size >= CHUNK_BYTES or len(lines) >= CHUNK_LINES:
                yield _values_batch(source, keys, gathered, lines, is_whole=True)
                gathered, lines, size = [], [], 0
    except Broken as broken:
        detail = f"{broken.detail}; nothing after it could be read"
        yield Refused(source.name, broken.line, "invalid-json", detail)
    if gathered:
        yield _values_batch(source, keys, gathered, lines, is_whole=False)


def _values_batch(source: Source, keys: Keys, values: list[bytes], lines: list[int], *, is_whole: bool) -> Batch:
    body = b"\n".join(values)
    return Batch(source.name, keys.next(body, is_whole=is_whole), body, OfValues(lines, body))


def _on_one_line(value: Value) -> bytes | None:
    """The value without the line breaks between its parts, its digits and order kept; None when it is not JSON."""
    if b"\n" not in value.data and b"\r" not in value.data:
        return value.data
    try:
        return msgspec.json.format(value.data, indent=-1)
    except (msgspec.MsgspecError, RecursionError):
        return None
