"""Telling NDJSON, JSON and plain text apart by the beginning of a source."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from headrace.cli.failure import Failure

_SAMPLE_LINES = 200
_ARRAY = re.compile(rb"\[\s*(?:\{|\])")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Format(StrEnum):
    """How a source holds its events."""

    AUTO = "auto"
    NDJSON = "ndjson"
    JSON = "json"
    TEXT = "text"


def detect(sample: bytes, name: str) -> Format:
    """The format of a source that begins like this. Raises Failure for an encoding that cannot be read as UTF-8."""
    if sample.startswith(_UTF_16):
        raise Failure(f"{name} is UTF-16. Send it as UTF-8: iconv -f UTF-16 -t UTF-8 {name} | headrace send -")
    sample = sample.removeprefix(b"\xef\xbb\xbf").lstrip()
    if _ARRAY.match(sample):
        return Format.JSON
    if not sample.startswith(b"{") and b"\n{" not in sample:
        return Format.TEXT
    lines = [line for line in sample.split(b"\n", _SAMPLE_LINES)[:_SAMPLE_LINES] if line.strip()]
    objects = sum(map(_is_object, lines))
    if objects and 2 * objects >= len(lines) - 1:  # the last line of the sample may be cut
        return Format.NDJSON
    if sample.startswith(b"{"):
        return _of_braces(lines)
    return Format.TEXT


def _of_braces(lines: list[bytes]) -> Format:
    """An object over several lines, or NDJSON whose lines are broken: in that, each line begins with a brace."""
    if len(lines) == 1:
        return Format.NDJSON
    return Format.NDJSON if sum(line.startswith(b"{") for line in lines) * 2 > len(lines) else Format.JSON


def _is_object(line: bytes) -> bool:
    if not line.lstrip().startswith(b"{"):
        return False
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
