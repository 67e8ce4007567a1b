"""From sources to batches: bodies, keys, and the way back to the line of an item."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path

from headrace.cli.sending.batch import Batch, Keys, Refused
from headrace.cli.sending.defaults import Defaults
from headrace.cli.sending.detect import Format
from headrace.cli.sending.encode import Reading, batches
from headrace.cli.sending.source import Source
from tests.unit.cli.sources import file_source


def encoded(
    source: Source, format: Format, defaults: Defaults | None = None, scope: str = "run"
) -> list[Batch | Refused]:
    return list(batches(source, Reading(format, defaults or Defaults(), UTC), Keys(scope, source.version)))


def sent(items: list[Batch | Refused]) -> list[dict[str, object]]:
    """The events of all batches."""
    return [json.loads(line) for item in items if isinstance(item, Batch) for line in item.body.splitlines() if line]


def test_ndjson_is_sent_byte_by_byte(tmp_path: Path) -> None:
    data = b'{"message":"a","attributes":{"n":1.00}}\n\n{broken\n\xff\n'
    (batch,) = encoded(file_source(tmp_path, data), Format.NDJSON)
    assert isinstance(batch, Batch)
    assert batch.body == data


def test_the_line_of_an_item_is_found_past_blank_ones(tmp_path: Path) -> None:
    (batch,) = encoded(file_source(tmp_path, b"\n \nfirst\n\nsecond\r\nthird"), Format.TEXT)
    assert isinstance(batch, Batch)
    assert [batch.origin.of(index)[0] for index in range(batch.origin.count())] == [3, 5, 6]
    assert batch.origin.of(1) == (5, b"second\r")


def test_a_text_line_of_any_bytes_becomes_valid_json(tmp_path: Path) -> None:
    found = sent(encoded(file_source(tmp_path, b'caf\xe9 \0 "q" \\ \x1b[31m\r\n\xef\xbf\xbd\n'), Format.TEXT))
    assert [event["message"] for event in found] == ['caf\\xe9 \\x00 "q" \\ \x1b[31m', "\ufffd"]


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    found = sent(encoded(file_source(tmp_path, "a\u2028b\x0bc\x85d\n".encode()), Format.TEXT))
    assert [event["message"] for event in found] == ["a\u2028b\x0bc\x85d"]


def test_defaults_fill_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    defaults = Defaults(["actor.type=user", "actor.id=ada", "region=eu", "attr.a=2"], service="billing", level="debug")
    data = b'{"message":"a","service":"own","attributes":{"a":1.00,"z":{}}}\n{"action":"b"}\nnot json\n'
    (batch,) = encoded(file_source(tmp_path, data), Format.NDJSON, defaults)
    assert isinstance(batch, Batch)
    first, second, third = batch.body.splitlines()
    assert b'"attributes":{"a":1.00,"z":{},"region":"eu"}' in first
    assert json.loads(first) | {"attributes": 0} == {
        "message": "a", "service": "own", "level": "debug", "actor": {"type": "user", "id": "ada"}, "attributes": 0,
    }  # fmt: skip
    assert json.loads(second)["attributes"] == {"region": "eu", "a": "2"}
    assert third == b"not json"


def test_the_level_of_a_line_wins_over_the_default(tmp_path: Path) -> None:
    data = b"2026-11-20 12:00:00 ERROR x\n2026-11-20 12:00:00 y\n"
    found = sent(encoded(file_source(tmp_path, data), Format.TEXT, Defaults(level="debug")))
    assert [event["level"] for event in found] == ["error", "debug"]


def test_values_over_several_lines_are_put_on_one_with_their_digits(tmp_path: Path) -> None:
    data = b'[\n{"message": "a\\n",\r\n "attributes": {"n": 1.00, "k": [1,\n2]}},\n{"message"\n 1}, {"message":"c"}]'
    first, second = encoded(file_source(tmp_path, data), Format.JSON)
    name = str(tmp_path / "events")
    assert first == Refused(name, 5, "invalid-json", "this value is not valid JSON", b'{"message"\n 1}')
    assert isinstance(second, Batch)
    assert second.body == b'{"message":"a\\n","attributes":{"n":1.00,"k":[1,2]}}\n{"message":"c"}'
    assert [second.origin.of(index)[0] for index in range(2)] == [2, 6]


def test_what_comes_before_broken_json_is_sent(tmp_path: Path) -> None:
    refused, batch = encoded(file_source(tmp_path, b'[{"message":"a"},\n{"message":'), Format.JSON)
    assert isinstance(refused, Refused)
    assert (refused.line, refused.code) == (2, "invalid-json")
    assert sent([batch]) == [{"message": "a"}]


def keys_of(items: list[Batch | Refused]) -> list[str]:
    return [item.key for item in items if isinstance(item, Batch)]


def test_the_same_file_has_the_same_keys_and_another_has_others(tmp_path: Path) -> None:
    data = b"".join(b'{"message":"%d"}\n' % number for number in range(12_000))
    first = keys_of(encoded(file_source(tmp_path, data), Format.NDJSON))
    source = file_source(tmp_path, data)
    assert len(first) == len(set(first)) == 3
    assert keys_of(encoded(source, Format.NDJSON))[:2] == first[:2]
    assert not set(keys_of(encoded(file_source(tmp_path, data), Format.NDJSON, scope="other"))) & set(first)


def test_a_file_that_grew_keeps_the_keys_of_its_whole_batches(tmp_path: Path) -> None:
    data = b"".join(b"%d\n" % number for number in range(12_000))
    first = keys_of(encoded(file_source(tmp_path, data), Format.TEXT))
    grown = keys_of(encoded(file_source(tmp_path, data + b"more\n"), Format.TEXT))
    assert (grown[:2], len(set(grown) & set(first))) == (first[:2], 2)


def test_a_batch_with_other_content_in_the_same_place_has_another_key(tmp_path: Path) -> None:
    data = b"".join(b"%d\n" % number for number in range(5_001))
    first = keys_of(encoded(file_source(tmp_path, data), Format.TEXT))
    changed = keys_of(encoded(file_source(tmp_path, data.replace(b"17\n", b"71\n", 1)), Format.TEXT))
    assert first[0] != changed[0]


def test_a_small_file_written_anew_with_the_same_content_is_new() -> None:
    old, new = Keys("1:2", "100"), Keys("1:2", "200")
    assert old.next(b"ping\n", is_whole=False) != new.next(b"ping\n", is_whole=False)


def test_equal_batches_of_one_source_have_different_keys() -> None:
    keys = Keys("run")
    assert keys.next(b"ping\n", is_whole=True) != keys.next(b"ping\n", is_whole=True)
