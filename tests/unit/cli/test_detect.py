"""Telling the format of a source by its beginning."""

from __future__ import annotations

import pytest

from headrace.cli.failure import Failure
from headrace.cli.sending.detect import Format, detect

SAMPLES = [
    ("ndjson", b'{"message":"a"}\n{"message":"b"}\n', Format.NDJSON),
    ("one object on one line", b'{"message":"a"}', Format.NDJSON),
    ("ndjson with BOM and blank lines", b'\xef\xbb\xbf\n\n{"message":"a"}\n\n{"message":"b"}\n', Format.NDJSON),
    ("ndjson with a broken first line", b'{"message":\n{"message":"b"}\n{"message":"c"}\n', Format.NDJSON),
    ("ndjson with a broken only line", b'{"message":', Format.NDJSON),
    ("ndjson, all lines broken", b'{"a":\n{"b":\n{"c":\n', Format.NDJSON),
    ("ndjson after a banner", b'starting\n{"message":"b"}\n{"message":"c"}\n', Format.NDJSON),
    ("ndjson, sample cut in a line", b'{"message":"a"}\n{"mess', Format.NDJSON),
    ("array on one line", b'[{"message":"a"},{"message":"b"}]', Format.JSON),
    ("array, indented", b'[\n  {\n    "message": "a"\n  }\n]\n', Format.JSON),
    ("empty array", b" [ ] ", Format.JSON),
    ("objects, indented", b'{\n  "message": "a"\n}\n{\n  "message": "b"\n}\n', Format.JSON),
    ("text", b"2026-11-20 12:00:00 started\n", Format.TEXT),
    ("text in brackets", b"[2026-11-20 12:00:00] started\n[error] x\n", Format.TEXT),
    ("text with some JSON", b'a\nb\nc\n{"x":1}\nd\ne\n', Format.TEXT),
    ("binary", bytes(range(256)), Format.TEXT),
    ("nothing", b"", Format.TEXT),
]


@pytest.mark.parametrize(("sample", "format"), [one[1:] for one in SAMPLES], ids=[one[0] for one in SAMPLES])
def test_the_format_is_told(sample: bytes, format: Format) -> None:
    assert detect(sample, "x") is format


def test_utf_16_is_refused_with_the_way_out() -> None:
    with pytest.raises(Failure, match="iconv"):
        detect("text".encode("utf-16"), "x.log")
