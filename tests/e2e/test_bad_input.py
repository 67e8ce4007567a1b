"""RELIABILITY, "Bad input": the right status, a problem, the neighbours stored, the process alive."""

from __future__ import annotations

import gzip
import io
import json
import time
import zlib
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import zstandard

from tests.e2e.conftest import TestBucket, assert_problem

NDJSON = "application/x-ndjson"
GOOD = b'{"message": "a good neighbour"}'


@pytest.fixture(autouse=True)
def _the_process_lives(client: httpx2.Client) -> Iterator[None]:
    before = client.get("/v1/status").json()["uptime_seconds"]
    yield
    assert client.get("/v1/status").json()["uptime_seconds"] >= before, "the server was started again"


# (what, the item, its status when it comes alone)
BAD_ITEMS: list[tuple[str, bytes, int]] = [
    ("truncated", b'{"message": "a', 400),
    ("not JSON", b"hello", 400),
    ("a number", b"5", 422),
    ("a string", b'"x"', 422),
    ("null", b"null", 422),
    ("NaN", b'{"message": "a", "time": NaN}', 400),
    ("Infinity", b'{"message": "a", "attributes": {"x": Infinity}}', 400),
    ("a number too large for any float, as the time", b'{"message": "a", "time": 1e999}', 422),
    ("a 5,000-digit integer, as the time", b'{"message": "a", "time": ' + b"9" * 5_000 + b"}", 422),
    ("200,000 nested arrays", b'{"message": "a", "attributes": {"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}", 413),
    ("50,000 nested arrays", b'{"message": "a", "attributes": {"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}}", 400),
    ("only opening brackets", b"[" * 100_000, 400),
    ("a lone surrogate", b'{"message": "\\ud800"}', 422),
    ("the second half of a surrogate pair", b'{"message": "a", "attributes": {"x": "\\udc00"}}', 422),
    ("a NUL", b'{"message": "a\\u0000b"}', 422),
    ("a NUL in a key", b'{"message": "a", "attributes": {"a\\u0000": 1}}', 422),
    ("a NUL in a party", b'{"message": "a", "actor": {"id": "\\u0000"}}', 422),
    ("a raw NUL", b'{"message": "a\x00b"}', 400),
    ("a raw control character", b'{"message": "a\x1bb"}', 400),
    ("bytes that are no UTF-8", b'{"message": "\xff\xfe"}', 400),
    ("an overlong encoding", b'{"message": "\xc0\xaf"}', 400),
    ("UTF-8 of a surrogate", b'{"message": "\xed\xa0\x80"}', 400),
    ("an unknown field", b'{"message": "a", "colour": "red"}', 422),
    ("10^5 unknown fields", b'{"message": "a", ' + b", ".join(b'"k%d": 1' % n for n in range(20_000)) + b"}", 422),
    ("no message and no action", b'{"level": "info"}', 422),
    ("an empty object", b"{}", 422),
    ("a number for the message", b'{"message": 5}', 422),
    ("an array for the attributes", b'{"message": "a", "attributes": []}', 422),
    ("a string for the attributes", b'{"message": "a", "attributes": "x"}', 422),
    ("an unknown level", b'{"message": "a", "level": "loud"}', 422),
    ("an unknown outcome", b'{"message": "a", "outcome": "maybe"}', 422),
    ("an id that is no UUID", b'{"message": "a", "id": "1"}', 422),
    ("an empty dedup key", b'{"message": "a", "dedup_key": ""}', 422),
    ("a dedup key of 257 bytes", b'{"message": "a", "dedup_key": "' + b"x" * 257 + b'"}', 422),
    ("a time without an offset", b'{"message": "a", "time": "2026-11-20T12:00:00"}', 422),
    ("a time that is none", b'{"message": "a", "time": "yesterday"}', 422),
    ("a time before 1970", b'{"message": "a", "time": "1969-12-31T23:59:59Z"}', 422),
    ("a time after 2262", b'{"message": "a", "time": "2262-01-01T00:00:00Z"}', 422),
    ("a negative time", b'{"message": "a", "time": -1}', 422),
    ("true for the time", b'{"message": "a", "time": true}', 422),
    ("an actor without an id", b'{"message": "a", "actor": {"name": "Ada"}}', 422),
    ("an actor with an unknown field", b'{"message": "a", "actor": {"id": "a", "mail": "x"}}', 422),
    ("a number for the actor", b'{"message": "a", "actor": 5}', 422),
    ("more than 256 KiB", b'{"message": "' + b"x" * (256 * 1024) + b'"}', 413),
    ("a key of 1 MB", b'{"message": "a", "attributes": {"' + b"k" * 1_000_000 + b'": 1}}', 413),
    ("two objects on one line", b'{"message": "a"}{"message": "b"}', 400),
]  # fmt: skip
IDS = [case[0] for case in BAD_ITEMS]


@pytest.mark.parametrize(("_what", "item", "status"), BAD_ITEMS, ids=IDS)
def test_a_bad_event_alone_is_refused(bucket: TestBucket, _what: str, item: bytes, status: int) -> None:
    assert_problem(bucket.post(item, ack="stored"), status)
    assert bucket.list() == []


@pytest.mark.parametrize(("_what", "item", "_status"), BAD_ITEMS, ids=IDS)
def test_a_bad_line_is_refused_and_its_neighbours_are_stored(
    bucket: TestBucket, _what: str, item: bytes, _status: int
) -> None:
    answer = bucket.post(b"\n".join((GOOD, item, GOOD)), NDJSON, ack="stored")
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["accepted"], told["rejected"]) == (2, 1)
    assert told["errors"][0]["index"] == 1
    assert told["errors"][0]["code"]
    assert bucket.messages() == ["a good neighbour"] * 2


PARSED = [case for case in BAD_ITEMS if case[2] in (413, 422)]


@pytest.mark.parametrize(("what", "item", "_status"), PARSED, ids=[case[0] for case in PARSED])
def test_a_bad_item_of_an_array_is_refused_and_its_neighbours_are_stored(
    bucket: TestBucket, what: str, item: bytes, _status: int
) -> None:
    answer = bucket.post(b"[" + b",".join((GOOD, item, GOOD)) + b"]", ack="stored")
    assert answer.status_code == 201, answer.text
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 1)
    assert bucket.messages() == ["a good neighbour"] * 2


# Odd, but good: each must come back as it was sent.
ODD_ITEMS: dict[str, bytes] = {
    "a 5,000-digit integer": b'{"message": "a", "attributes": {"n": ' + b"9" * 5_000 + b"}}",
    "1e999": b'{"message": "a", "attributes": {"n": 1e999}}',
    "-0.0 and 1.10": b'{"message": "a", "attributes": {"n": -0.0, "m": 1.10}}',
    "an integer over 64 bits": b'{"message": "a", "attributes": {"n": 340282366920938463463374607431768211456}}',
    "duplicate keys": b'{"message": "a", "attributes": {"k": 1, "k": 2}}',
    "20,000 keys": b'{"message": "a", "attributes": {' + b", ".join(b'"k%d": 1' % n for n in range(20_000)) + b"}}",
    "100 nested arrays": b'{"message": "a", "attributes": {"n": ' + b"[" * 100 + b"]" * 100 + b"}}",
    "an empty key": b'{"message": "a", "attributes": {"": {"": ""}}}',
    "a pair of surrogates": b'{"message": "\\ud83d\\ude00"}',
    "an escaped backslash before u0000": b'{"message": "\\\\u0000"}',
    "line breaks and terminal colours": b'{"message": "a\\r\\nb \\u001b[31mred\\u001b[0m"}',
    "bidirectional text and markup": '{"message": "\u202eevil <script>alert(1)</script>"}'.encode(),
    "an empty message": b'{"message": ""}',
    "null where a field may be absent": b'{"message": "a", "action": null, "attributes": null, "time": null}',
    "duplicate fields": b'{"message": "first", "message": "last"}',
    "white space everywhere": b' \t{ "message" : "a" , "attributes" : { "k" : [ 1 , 2 ] } } \t',
    "a message of 250,000 bytes": b'{"message": "' + b"x" * 250_000 + b'"}',
    "a BOM": b"\xef\xbb\xbf" + GOOD,
}


@pytest.mark.parametrize("kind", ["application/json", NDJSON])
@pytest.mark.parametrize("item", ODD_ITEMS.values(), ids=ODD_ITEMS.keys())
def test_an_odd_but_good_event_comes_back_as_it_was_sent(bucket: TestBucket, item: bytes, kind: str) -> None:
    answer = bucket.post(item, kind, ack="stored")
    assert answer.status_code == 201, answer.text
    raw = bucket.client.get(f"{bucket.path}/events").content
    sent = item.removeprefix(b"\xef\xbb\xbf").strip()
    if b'"attributes": {' in sent:
        attributes = sent[sent.index(b'"attributes": {') + len(b'"attributes": ') : -1]
        assert attributes.replace(b" ", b"") in raw.replace(b" ", b"")
    elif b"duplicate" not in sent:
        assert json.loads(raw)["events"][0]["message"] == json.loads(sent)["message"]


def test_a_pretty_printed_event_is_taken_alone_and_in_an_array(bucket: TestBucket) -> None:
    pretty = json.dumps({"message": "a\nb", "attributes": {"k": [1, 2]}}, indent=2).replace("\n", "\r\n").encode()
    assert bucket.post(pretty, ack="stored").status_code == 201
    assert bucket.post(b"[\r\n" + pretty + b",\n" + pretty + b"\n]", ack="stored").json()["accepted"] == 2
    assert bucket.messages() == ["a\nb"] * 3
    assert len(bucket.client.get(f"{bucket.path}/export").text.split("\n")) == 4


# --- Bodies -------------------------------------------------------------------------------------------------------

EMPTY = {
    "nothing": b"", "a BOM": b"\xef\xbb\xbf", "white space": b" \n\t\n", "an empty array": b"[]",
    "blank lines": b"\n\n\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["application/json", NDJSON])
@pytest.mark.parametrize("body", EMPTY.values(), ids=EMPTY.keys())
def test_an_empty_body_is_refused(bucket: TestBucket, body: bytes, kind: str) -> None:
    assert_problem(bucket.post(body, kind), [400, 422])


def test_when_every_item_is_refused_the_answer_is_422_and_says_why(bucket: TestBucket) -> None:
    document = assert_problem(bucket.post(b'{"x": 1}\n{"y": 2}\n', NDJSON), 422)
    assert [error["index"] for error in document["errors"]] == [0, 1]


def test_at_most_a_hundred_errors_are_spelled_out(bucket: TestBucket) -> None:
    told = bucket.post(GOOD + b"\n" + b"{}\n" * 5_000, NDJSON).json()
    assert (told["accepted"], told["rejected"], len(told["errors"])) == (1, 5_000, 100)


def test_more_than_100_000_items_are_too_many(bucket: TestBucket) -> None:
    assert_problem(bucket.post(b'{"message":"x"}\n' * 100_001, NDJSON), 413)
    assert_problem(bucket.post(b"[" + b",".join([b"{}"] * 1_000_000) + b"]"), 413)


def test_a_million_tiny_lines_are_refused_quickly(bucket: TestBucket) -> None:
    began = time.monotonic()
    assert_problem(bucket.post(b"{}\n" * 1_000_000, NDJSON), 413)
    assert time.monotonic() - began < 5


def test_an_array_of_more_than_4_mib_is_too_large(bucket: TestBucket) -> None:
    item = b'{"message": "' + b"x" * 100_000 + b'"}'
    assert_problem(bucket.post(b"[" + b",".join([item] * 50) + b"]"), 413)
    assert bucket.post(b"\n".join([item] * 50), NDJSON).status_code == 202


def test_a_body_of_more_than_16_mib_is_too_large_whether_it_says_so_or_not(bucket: TestBucket) -> None:
    piece = GOOD + b" " * 1000 + b"\n"
    assert_problem(bucket.post(piece * 17_000, NDJSON), 413)

    def chunks() -> Iterator[bytes]:
        for _ in range(170):
            yield piece * 100

    headers = {"content-type": NDJSON}
    try:
        answer = bucket.client.post(f"{bucket.path}/events", content=chunks(), headers=headers)
    except (httpx2.WriteError, httpx2.ReadError, httpx2.RemoteProtocolError):
        return  # refused while it was being sent, and the connection closed
    assert_problem(answer, 413)


def _bomb(pack: str) -> bytes:
    zeros = b" " * (1 << 20)
    if pack == "gzip":
        out = io.BytesIO()
        with gzip.GzipFile(fileobj=out, mode="wb") as packed:
            for _ in range(300):
                packed.write(zeros)
        return out.getvalue()
    if pack == "deflate":
        deflate = zlib.compressobj()
        return b"".join(deflate.compress(zeros) for _ in range(300)) + deflate.flush()
    return zstandard.ZstdCompressor().compress(zeros * 300)


@pytest.mark.parametrize("pack", ["gzip", "deflate", "zstd"])
def test_a_bomb_is_refused_before_it_unpacks(bucket: TestBucket, pack: str) -> None:
    began = time.monotonic()
    assert_problem(bucket.post(_bomb(pack), NDJSON, headers={"content-encoding": pack}), 413)
    assert time.monotonic() - began < 5


PACKED: dict[str, tuple[str, bytes]] = {
    "truncated gzip": ("gzip", gzip.compress(GOOD * 1000)[:-20]),
    "truncated zstd": ("zstd", zstandard.ZstdCompressor().compress(GOOD * 1000)[:-5]),
    "truncated deflate": ("deflate", zlib.compress(GOOD * 1000)[:-5]),
    "gzip that is none": ("gzip", GOOD),
    "zstd that is none": ("zstd", GOOD),
    "deflate that is none": ("deflate", GOOD),
    "gzip with a broken checksum": ("gzip", gzip.compress(GOOD)[:-8] + b"\0" * 8),
    "gzip in gzip": ("gzip", gzip.compress(gzip.compress(GOOD))),
    "nothing at all": ("gzip", b""),
    "rubbish behind gzip": ("gzip", gzip.compress(GOOD) + b"rubbish"),
}


@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED.keys())
def test_a_body_that_cannot_be_unpacked_is_400(bucket: TestBucket, encoding: str, body: bytes) -> None:
    assert_problem(bucket.post(body, headers={"content-encoding": encoding}), 400)
    assert bucket.list() == []


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip,deflate", "identity, gzip"])
def test_nested_encodings_are_415(bucket: TestBucket, encoding: str) -> None:
    body = gzip.compress(gzip.compress(GOOD))
    assert_problem(bucket.post(body, headers={"content-encoding": encoding}), 415)


@pytest.mark.parametrize("key", ["", "x" * 257])
def test_an_idempotency_key_of_a_bad_length_is_400(bucket: TestBucket, key: str) -> None:
    assert_problem(bucket.post(GOOD, headers={"idempotency-key": key}), 400)


@pytest.mark.parametrize(
    "query", [{"ack": "maybe"}, {"ack": ""}, {"ids": "perhaps"}, {"ACK": "stored"}, {"ack": "stored", "x": "1"}]
)
def test_a_bad_parameter_of_the_write_door_is_400(bucket: TestBucket, query: dict[str, str]) -> None:
    assert_problem(bucket.post(GOOD, **query), 400)


# --- Questions ----------------------------------------------------------------------------------------------------

META = [
    "'", "''", '"', "' OR 1=1 --", "'; DROP TABLE events; --", "\\", "\\'", "%", "%%", "_", ".*", "(", "[", "$", "$.a",
    "$[*]", "a[0]", "*", "**", "?", "{}", "{0}", "%s", "%(x)s", ":x", "$1", "@x", "\x01", "\x1b[31m", "\u202e", "é",
    "\U0001f600", "a\nb", "a\tb", "-", "--", '"-"', "- -", "--a", "a" * 1000, "ſ", "İ", "\ufeff", "null", "true", "[]",
]  # fmt: skip
PLACES = ["q", "service", "action", "actor", "target", "trace_id", "attr.x", "attr.a.b"]


@pytest.mark.parametrize("text", META, ids=lambda text: repr(text)[:20])
def test_no_character_has_a_power_in_a_filter(bucket: TestBucket, text: str) -> None:
    event = {"message": f"m {text} m", "service": text, "action": text, "actor": text, "target": text, "trace_id": text,
             "attributes": {"x": text, "a": {"b": text}}}  # fmt: skip
    bucket.record(event, {"message": "another", "service": "s", "action": "b", "actor": "c", "target": "d"})
    for place in PLACES:
        if place == "q":
            # Quoted, so that a minus and white space mean themselves; a quote cannot be quoted.
            wanted = f'"{text}"' if '"' not in text else None
        else:
            wanted = text if text.strip("*") == text or place != "action" else None
        if wanted is None:
            continue
        answer = bucket.client.get(f"{bucket.path}/events", params={place: wanted})
        assert answer.status_code == 200, (place, answer.text)
        assert f"m {text} m" in [one["message"] for one in answer.json()["events"]], place
        if place != "q":
            assert len(answer.json()["events"]) == 1, place


PATHS = ["'", '"', "a'b", "$", "$.x", "a..b", ".", "..", "a[0]", "*", "a.*", "x" * 256, "é", "a b"]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: repr(path)[:20])
def test_no_character_has_a_power_in_a_path(bucket: TestBucket, path: str) -> None:
    bucket.record({"message": "a", "attributes": {path: "v"}}, {"message": "b", "attributes": {"other": "v"}})
    assert bucket.messages(**{f"attr.{path}": "v"}) == ["a"]


BAD_QUESTIONS: list[dict[str, Any]] = [
    {"limit": "0"}, {"limit": "1001"}, {"limit": "-1"}, {"limit": "9" * 40}, {"limit": "ten"}, {"limit": "1.5"},
    {"offset": "10001"}, {"offset": "-1"}, {"offset": "9" * 40}, {"cursor": "x"}, {"cursor": "9" * 10_000},
    {"cursor": "AAAA"}, {"cursor": "' or 1=1"}, {"order": "random"}, {"since": "soon"},
    {"since": "2026-13-01T00:00:00Z"}, {"since": "2026-11-20T12:00:00"}, {"until": "1e400"}, {"until": "NaN"},
    {"since": ""}, {"level": "loud"},
    {"min_level": ""}, {"outcome": "maybe"}, {"attr.": "x"}, {"attr": "x"}, {"q": "\0"}, {"service": "\0"},
    {"attr.a\0b": "x"}, {"actor": ["x"] * 101}, {"q": " ".join(f"w{n}" for n in range(33))}, {"service": "x" * 1025},
    {"select": "*"}, {"Service": "x"},
]  # fmt: skip


@pytest.mark.parametrize("query", BAD_QUESTIONS, ids=lambda query: str(query)[:50])
def test_an_absurd_question_is_refused(bucket: TestBucket, query: dict[str, Any]) -> None:
    assert_problem(bucket.client.get(f"{bucket.path}/events", params=query), 400)


@pytest.mark.parametrize("query", ["q=%ff%fe", "q=%c0%af", "attr.%ff=x", "q=%ed%a0%80"])
def test_a_question_that_is_no_utf_8_is_refused(bucket: TestBucket, query: str) -> None:
    assert_problem(bucket.client.get(f"{bucket.path}/events?{query}"), 400)


def test_a_cursor_of_one_bucket_tells_nothing_of_another(bucket: TestBucket) -> None:
    bucket.record(*({"message": str(number)} for number in range(3)))
    cursor = bucket.get("events", limit=1)["next_cursor"]
    answer = bucket.client.get("/v1/buckets/default/events", params={"cursor": cursor})
    assert answer.status_code in (200, 400)
    assert not [one for one in answer.json().get("events", []) if one["bucket"] == bucket.name]


def test_a_ten_year_question_over_everything_is_answered_or_bounded_while_events_come_in(bucket: TestBucket) -> None:
    for noun in ("events", "histogram", "facets"):
        query = {"since": "3650d", "q": "zzz"} | ({"fields": "actor,service"} if noun == "facets" else {})
        answer = bucket.client.get(f"{bucket.path}/{noun}", params=query)
        assert answer.status_code in (200, 503)
        assert bucket.post(GOOD).status_code == 202
