"""Recording and reading events, call by call, as API.md tells it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import uuid
import zlib
from collections.abc import Callable
from typing import Any

import pyarrow.parquet
import pytest
import zstandard

from tests.e2e.conftest import TestBucket, assert_problem

FULL = {
    "id": "01980A1C-7E4B-7C3A-9D2E-5F6A7B8C9D0E",
    "time": "2026-11-20T14:00:00.123+02:00",
    "level": "WARN",
    "service": "billing-api",
    "action": "invoice.paid",
    "actor": "user-1842",
    "target": {"id": "inv-99311", "type": "invoice"},
    "outcome": "success",
    "message": "Invoice 99311 paid",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
}
ATTRIBUTES = '{"z": 1.10, "a": 12345678901234567890123, "nested": {"b": [1, null, "ü"]}, "amount": "129.00"}'


# --- Recording ----------------------------------------------------------------------------------------------------


def test_an_event_comes_back_equal_after_normalisation(bucket: TestBucket) -> None:
    body = json.dumps(FULL)[:-1] + f', "attributes": {ATTRIBUTES}}}'
    answer = bucket.post(body.encode(), ack="stored")
    assert answer.status_code == 201, answer.text
    assert answer.json() == {"id": FULL["id"].lower()}
    found = bucket.client.get(f"{bucket.path}/events/{answer.json()['id']}")
    assert ATTRIBUTES.replace(" ", "") in found.text.replace(" ", "")  # every digit, and the order
    event = found.json()
    event.pop("received_at")
    event.pop("attributes")
    assert event == FULL | {
        "id": FULL["id"].lower(),
        "time": "2026-11-20T12:00:00.123000Z",
        "level": "warning",
        "actor": {"id": "user-1842"},
        "bucket": bucket.name,
    }


def test_absent_fields_are_left_out(bucket: TestBucket) -> None:
    bucket.record({"message": "short"})
    event = bucket.list()[0]
    assert set(event) == {"id", "time", "level", "message", "bucket", "received_at"}
    assert event["level"] == "info"
    assert event["time"] == event["received_at"]


def test_a_single_event_is_durable_with_202_and_can_soon_be_read(bucket: TestBucket) -> None:
    answer = bucket.post(b'{"message": "one"}')
    assert answer.status_code == 202
    path = f"{bucket.path}/events/{answer.json()['id']}"
    for _ in range(200):
        if bucket.client.get(path).status_code == 200:
            return
    pytest.fail("it never came")


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json"])
def test_a_batch_says_what_became_of_each_item(bucket: TestBucket, kind: str) -> None:
    items = ['{"message": "a"}', '{"colour": "red", "message": "b"}', '{"action": "c"}', '{"level": "info"}']
    body = "\n".join(items) if "nd" in kind else f"[{','.join(items)}]"
    answer = bucket.post(body.encode(), kind, ack="stored")
    assert answer.status_code == 201
    told = answer.json()
    assert (told["accepted"], told["rejected"]) == (2, 2)
    assert [error["index"] for error in told["errors"]] == [1, 3]
    assert "colour" in told["errors"][0]["detail"]
    assert set(told["ids"]) == {event["id"] for event in bucket.list()}


def test_ids_false_leaves_the_ids_out(bucket: TestBucket) -> None:
    assert "ids" not in bucket.record({"message": "a"}, ids="false").json()


def test_blank_lines_do_not_count(bucket: TestBucket) -> None:
    told = bucket.record('{"message": "a"}', "", "  ", "broken", '{"message": "b"}').json()
    assert (told["accepted"], told["rejected"], told["errors"][0]["index"]) == (2, 1, 1)


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "identity": lambda body: body,
}


@pytest.mark.parametrize("encoding", PACKERS)
def test_a_body_may_be_compressed(bucket: TestBucket, encoding: str) -> None:
    body = PACKERS[encoding](b'{"message": "packed"}')
    assert bucket.post(body, headers={"content-encoding": encoding}, ack="stored").status_code == 201
    assert bucket.messages() == ["packed"]


def test_a_request_with_an_idempotency_key_is_safe_to_repeat(bucket: TestBucket) -> None:
    lines = b'{"message": "a"}\n{"message": "b"}'
    key = {"idempotency-key": "order-7"}
    answers = [bucket.post(lines, "application/x-ndjson", headers=key, ack="stored") for _ in range(3)]
    assert len({answer.text for answer in answers}) == 1
    assert sorted(bucket.messages()) == ["a", "b"]


def test_a_repeated_id_or_dedup_key_is_answered_the_same_and_stored_once(bucket: TestBucket) -> None:
    own = str(uuid.uuid4())
    first = bucket.record({"id": own, "message": "first"}, {"dedup_key": "k", "message": "first"}).json()
    second = bucket.record({"id": own, "message": "second"}, {"dedup_key": "k", "message": "second"}).json()
    assert first["ids"] == second["ids"]
    assert bucket.messages() == ["first", "first"]


def test_identical_events_without_an_id_are_all_kept(bucket: TestBucket) -> None:
    bucket.record(*[{"message": "same"}] * 5)
    assert len(bucket.list()) == 5


TIMES = {
    "2026-11-20T12:00:00Z": "2026-11-20T12:00:00.000000Z",
    "2026-11-20T12:00:00.1234561+00:00": "2026-11-20T12:00:00.123456Z",
    1_789_000_000: "2026-09-10T00:26:40.000000Z",
    1_789_000_000.5: "2026-09-10T00:26:40.500000Z",
    1_789_000_000_123: "2026-09-10T00:26:40.123000Z",
    1_789_000_000_123_456: "2026-09-10T00:26:40.123456Z",
    1_789_000_000_123_456_789: "2026-09-10T00:26:40.123457Z",
}


@pytest.mark.parametrize("given", TIMES)
def test_a_time_may_be_rfc_3339_or_an_epoch_number(bucket: TestBucket, given: object) -> None:
    bucket.record({"message": "x", "time": given})
    assert bucket.list()[0]["time"] == TIMES[given]  # type: ignore[index]


# --- Reading ------------------------------------------------------------------------------------------------------

DAY = [
    {"message": "Alpha started", "service": "api", "level": "info", "action": "app.start", "actor": "ada"},
    {"message": "beta 100% _done_", "service": "api", "level": "error", "action": "app.stop", "actor": "bob",
     "attributes": {"ip": "203.0.113.7", "http": {"status": 500}, "user.name": "ada"}},
    {"message": "gamma", "service": "worker", "level": "debug", "action": "job.run", "target": "job-1",
     "outcome": "failure", "trace_id": "t1", "attributes": {"note": "needle in here"}},
    {"message": "delta", "service": "worker", "level": "critical", "action": "job.stop", "outcome": "success"},
]  # fmt: skip


@pytest.fixture
def day(bucket: TestBucket) -> TestBucket:
    """Four events, a minute apart: Alpha, beta, gamma, delta."""
    bucket.record(*({**event, "time": f"2026-11-20T12:0{minute}:00Z"} for minute, event in enumerate(DAY)))
    return bucket


ALPHA, BETA, GAMMA, DELTA = (str(event["message"]) for event in DAY)
FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [DELTA, GAMMA, BETA, ALPHA]),
    ({"order": "asc"}, [ALPHA, BETA, GAMMA, DELTA]),
    ({"since": "2026-11-20T12:01:00Z", "until": "2026-11-20T12:03:00Z"}, [GAMMA, BETA]),
    ({"since": "2026-11-20T14:01:00+02:00"}, [DELTA, GAMMA, BETA]),
    ({"until": 1_795_176_060}, [ALPHA]),
    ({"level": "error"}, [BETA]),
    ({"level": ["error", "debug"]}, [GAMMA, BETA]),
    ({"min_level": "error"}, [DELTA, BETA]),
    ({"service": "api"}, [BETA, ALPHA]),
    ({"action": "app.stop"}, [BETA]),
    ({"action": "job.*"}, [DELTA, GAMMA]),
    ({"action": ["app.start", "job.*"]}, [DELTA, GAMMA, ALPHA]),
    ({"actor": "ada"}, [ALPHA]),
    ({"target": "job-1"}, [GAMMA]),
    ({"outcome": "failure"}, [GAMMA]),
    ({"trace_id": "t1"}, [GAMMA]),
    ({"q": "ALPHA"}, [ALPHA]),
    ({"q": "needle"}, [GAMMA]),
    ({"q": "note"}, []),
    ({"q": "100%"}, [BETA]),
    ({"q": "_"}, [BETA]),
    ({"q": "%"}, [BETA]),
    ({"q": '"Alpha started"'}, [ALPHA]),
    ({"q": '"started Alpha"'}, []),
    ({"q": "-alpha"}, [DELTA, GAMMA, BETA]),
    ({"q": ["alpha", "delta"]}, [DELTA, ALPHA]),
    ({"attr.ip": "203.0.113.7"}, [BETA]),
    ({"attr.http.status": "500"}, [BETA]),
    ({"attr.user.name": "ada"}, [BETA]),
    ({"attr.ip": "203.0.113.8"}, []),
    ({"service": "worker", "min_level": "error", "q": "delta"}, [DELTA]),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS, ids=[str(query) for query, _ in FILTERS])
def test_a_filter_finds_what_it_says(day: TestBucket, query: dict[str, Any], expected: list[str]) -> None:
    assert day.messages(**query) == expected


def test_an_age_counts_from_now(bucket: TestBucket) -> None:
    bucket.record({"message": "now"}, {"message": "long ago", "time": "2020-01-01T00:00:00Z"})
    assert bucket.messages(since="15m") == ["now"]


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_cursors_lead_through_everything_once_while_events_arrive(bucket: TestBucket, order: str) -> None:
    bucket.record(*({"message": str(number), "time": 1_789_000_000 + number // 3} for number in range(50)))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 7, "order": order}
    while True:
        page = bucket.get("events", **query)
        seen += [event["message"] for event in page["events"]]
        bucket.record({"message": "newcomer"} | ({"time": 1} if order == "asc" else {}))
        if "next_cursor" not in page:
            break
        query["cursor"] = page["next_cursor"]
    assert sorted(seen, key=int) == [str(number) for number in range(50)]


def test_offset_skips(day: TestBucket) -> None:
    assert day.messages(offset=1, limit=2) == [GAMMA, BETA]


def test_the_last_page_has_no_cursor(day: TestBucket) -> None:
    assert "next_cursor" not in day.get("events", limit=4)
    assert "next_cursor" in day.get("events", limit=3)


@pytest.mark.parametrize("noun", ["01980a1c-0000-7c3a-9d2e-5f6a7b8c9d0e", "nonsense", "%00", "1", "' or 1=1"])
def test_an_event_that_is_not_there_is_404(bucket: TestBucket, noun: str) -> None:
    assert_problem(bucket.client.get(f"{bucket.path}/events/{noun}"), 404)


def test_an_event_of_another_bucket_is_404(bucket: TestBucket) -> None:
    own = bucket.record({"message": "here"}).json()["ids"][0]
    assert_problem(bucket.client.get(f"/v1/buckets/default/events/{own}"), 404)


def test_a_histogram_counts_by_interval_and_field_with_empty_intervals(day: TestBucket) -> None:
    day.record({"message": "later", "time": "2026-11-20T12:05:30Z", "level": "error"})
    told = day.get("histogram", interval="1m", by="level")
    assert told["interval"] == "1m"
    assert [bar["count"] for bar in told["buckets"]] == [1, 1, 1, 1, 0, 1]
    assert told["buckets"][0] == {"time": "2026-11-20T12:00:00.000000Z", "count": 1, "by": {"info": 1}}
    assert sum(bar["count"] for bar in day.get("histogram")["buckets"]) == 5


def test_a_histogram_of_nothing_is_empty(bucket: TestBucket) -> None:
    assert bucket.get("histogram", interval="1h") == {"interval": "1h", "buckets": []}


@pytest.mark.parametrize(
    "query",
    [{"interval": "1s", "since": "2020-01-01T00:00:00Z"}, {"interval": "0s"}, {"interval": "2d"}, {"interval": "x"},
     {"interval": "1ms"}, {"by": "message"}, {"interval": "-1m"}],
)  # fmt: skip
def test_a_histogram_that_cannot_be_drawn_is_refused(day: TestBucket, query: dict[str, str]) -> None:
    assert_problem(day.client.get(f"{day.path}/histogram", params=query), 400)


def test_facets_count_the_most_frequent_values(day: TestBucket) -> None:
    told = day.get("facets", fields="service,actor,level", limit=1, min_level="info")
    assert told["facets"]["service"] == [{"value": "api", "count": 2}]
    assert set(told["facets"]) == {"service", "actor", "level"}


@pytest.mark.parametrize("query", [{}, {"fields": ""}, {"fields": "message"}, {"fields": "level", "limit": "0"}])
def test_facets_of_what_is_no_field_are_refused(day: TestBucket, query: dict[str, str]) -> None:
    assert_problem(day.client.get(f"{day.path}/facets", params=query), 400)


def test_an_export_as_ndjson_is_the_events_as_they_are_read(day: TestBucket) -> None:
    answer = day.client.get(f"{day.path}/export", params={"format": "ndjson", "service": "api"})
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert "attachment" in answer.headers["content-disposition"]
    assert [json.loads(line) for line in answer.text.splitlines()] == day.list(service="api", order="asc")


def test_an_export_as_csv_neutralises_what_a_spreadsheet_would_run(bucket: TestBucket) -> None:
    evil = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", 'a "quoted", cell']
    bucket.record(*({"message": text, "time": 1_789_000_000 + number} for number, text in enumerate(evil)))
    answer = bucket.client.get(f"{bucket.path}/export", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == len(evil)
    assert not any(cell[:1] in tuple("=+-@\t\r") for row in rows for cell in row.values())
    assert rows[-1]["message"] == 'a "quoted", cell'


def test_an_export_as_parquet_is_read_by_others(day: TestBucket) -> None:
    answer = day.client.get(f"{day.path}/export", params={"format": "parquet"})
    table = pyarrow.parquet.read_table(io.BytesIO(answer.content))
    assert table.column("message").to_pylist() == [ALPHA, BETA, GAMMA, DELTA]


def test_an_export_of_an_unknown_format_is_refused(day: TestBucket) -> None:
    assert_problem(day.client.get(f"{day.path}/export", params={"format": "xml"}), 400)


@pytest.mark.parametrize("form", ["ndjson", "csv", "parquet"])
def test_an_export_of_nothing_is_a_whole_file(bucket: TestBucket, form: str) -> None:
    answer = bucket.client.get(f"{bucket.path}/export", params={"format": form})
    assert answer.status_code == 200
    if form == "parquet":
        assert pyarrow.parquet.read_table(io.BytesIO(answer.content)).num_rows == 0
