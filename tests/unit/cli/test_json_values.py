"""Splitting JSON that is no NDJSON into its values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.cli.sending import json_values
from headrace.cli.sending.json_values import Broken, split_values
from tests.unit.cli.sources import file_source, pipe_source

_TEXT = st.text(max_size=6)
_JSON = st.recursive(
    st.none() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(st.dictionaries(_TEXT, _JSON, max_size=4), max_size=5),
    indent=st.sampled_from((None, 2)),
    in_array=st.booleans(),
    at=st.integers(0, 200),
)
def test_the_values_are_those_that_a_parser_finds(
    events: list[dict[str, object]], indent: int | None, in_array: bool, at: int
) -> None:
    texts = [json.dumps(event, indent=indent, ensure_ascii=False) for event in events]
    text = (json.dumps(events, indent=indent, ensure_ascii=False) if in_array else "\n".join(texts)).encode()
    source = pipe_source([piece for piece in (text[:at], text[at:]) if piece])
    assert [json.loads(value.data) for value in split_values(source)] == events


def test_values_across_the_edge_of_a_read_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "CHUNK_BYTES", 7)
    data = b'[{"a": "x\\"]}"}, {"b": [1, {"c": "{"}]},\n 12, "s", true]'
    values = list(split_values(file_source(tmp_path, data)))
    assert [json.loads(value.data) for value in values] == json.loads(data)


def test_each_value_knows_its_line(tmp_path: Path) -> None:
    data = b'[\n  {"a":\n 1},\n\n  {"b": 2}\n]\n'
    assert [value.line for value in split_values(file_source(tmp_path, data))] == [2, 5]


def test_two_hundred_thousand_brackets_are_one_value(tmp_path: Path) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    assert [value.data for value in split_values(file_source(tmp_path, b"[" + deep + b",{}]"))] == [deep, b"{}"]


@pytest.mark.parametrize(
    ("data", "line"),
    [(b'{"a":1}\n{"b":', 2), (b'[{"a":1},\n', 2), (b'{"a":1}\n}', 2), (b'{"a": "x', 1)],
    ids=["ends in a value", "ends in the array", "closes too much", "ends in a string"],
)
def test_broken_json_names_its_line(tmp_path: Path, data: bytes, line: int) -> None:
    with pytest.raises(Broken) as caught:
        list(split_values(file_source(tmp_path, data)))
    assert caught.value.line == line


def test_what_comes_before_broken_json_is_given(tmp_path: Path) -> None:
    found = split_values(file_source(tmp_path, b'{"a":1}\n{"b":'))
    assert next(found).data == b'{"a":1}'
    with pytest.raises(Broken):
        next(found)
