"""The live tail: each event once, in order of storing, resumed without a gap."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from tests.e2e.conftest import TestBucket
from tests.support.server import Server

Frame = tuple[int, str]


@contextmanager
def tail(bucket: TestBucket, last: int | None = None, **query: str) -> Iterator[Iterator[Frame]]:
    """(position, message) of what comes."""
    headers = {} if last is None else {"last-event-id": str(last)}
    with bucket.client.stream("GET", f"{bucket.path}/tail", headers=headers, params=query, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        yield _frames(lines)


def _frames(lines: Iterator[str]) -> Iterator[Frame]:
    position = 0
    for line in lines:
        if line.startswith("id: "):
            position = int(line[4:])
        if line.startswith("data: "):
            yield position, json.loads(line[6:])["message"]


def test_what_is_stored_from_now_on_comes_once_and_in_order(bucket: TestBucket) -> None:
    bucket.record({"message": "before"})
    with tail(bucket) as frames:
        for number in range(20):
            bucket.record({"message": str(number)})
        came = [next(frames) for _ in range(20)]
    assert [message for _, message in came] == [str(number) for number in range(20)]
    assert [position for position, _ in came] == sorted({position for position, _ in came})


def test_a_tail_resumes_without_a_gap(bucket: TestBucket) -> None:
    with tail(bucket) as frames:
        bucket.record({"message": "one"})
        last, _ = next(frames)
    bucket.record({"message": "two"}, {"message": "three"})
    with tail(bucket, last) as frames:
        bucket.record({"message": "four"})
        assert [next(frames)[1] for _ in range(3)] == ["two", "three", "four"]


def test_a_tail_from_the_very_first_position_has_everything(bucket: TestBucket) -> None:
    bucket.record(*({"message": str(number)} for number in range(1500)))
    with tail(bucket, 0) as frames:
        assert [next(frames)[1] for _ in range(1500)] == [str(number) for number in range(1500)]


def test_a_tail_holds_only_what_the_filter_says(bucket: TestBucket) -> None:
    with tail(bucket, min_level="error", q="disk") as frames:
        bucket.record(
            {"message": "disk ok"}, {"message": "disk full", "level": "error"}, {"message": "down", "level": "critical"}
        )
        bucket.record({"message": "disk gone", "level": "critical"})
        assert [next(frames)[1] for _ in range(2)] == ["disk full", "disk gone"]


def test_a_tail_holds_nothing_of_another_bucket(bucket: TestBucket) -> None:
    with tail(bucket) as frames:
        bucket.client.post("/v1/buckets/default/events", json={"message": "elsewhere"}, params={"ack": "stored"})
        bucket.record({"message": "here"})
        assert next(frames)[1] == "here"


def test_a_tail_resumes_after_the_server_was_killed(server: Server) -> None:
    with server.client() as client:
        here = TestBucket(client, "default")
        with tail(here) as frames:
            here.record({"message": "one"})
            last, _ = next(frames)
        here.record({"message": "two"})
        server.kill()
    server.start()
    with server.client() as client:
        here = TestBucket(client, "default")
        with tail(here, last) as frames:
            here.record({"message": "three"})
            assert [next(frames)[1] for _ in range(2)] == ["two", "three"]


def test_a_shutdown_ends_open_tails_within_its_time(server: Server) -> None:
    with server.client() as client, tail(TestBucket(client, "default")) as frames:
        assert server.stop() == 0
        try:
            assert list(frames) == []
        except httpx2.HTTPError:
            raise AssertionError("the stream was cut instead of ended") from None
