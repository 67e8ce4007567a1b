"""Limits, quotas and usage on a real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.e2e.conftest import TestBucket, assert_problem
from tests.support.people import person
from tests.support.server import Server

EVENT = {"message": "hello"}
SIZE = len(json.dumps(EVENT).replace(" ", ""))


@contextmanager
def key_for(server: Server, bucket: TestBucket, **more: object) -> Iterator[httpx2.Client]:
    """A client with a new key that may write into the bucket and read it."""
    grants = [{"bucket": bucket.name, "permissions": ["read", "write"]}]
    made = bucket.client.post("/v1/keys", json={"name": "limited", "grants": grants, **more})
    assert made.status_code == 201, made.text
    with server.client(key=made.json()["key"]) as client:
        yield client


def post(client: httpx2.Client, bucket: TestBucket, count: int = 1, **headers: str) -> httpx2.Response:
    path = f"{bucket.path}/events"
    if count == 1:
        return client.post(path, json=EVENT, headers=headers)
    lines = "\n".join([json.dumps(EVENT)] * count)
    return client.post(path, content=lines, headers={"content-type": "application/x-ndjson", **headers})


def set_quota(bucket: TestBucket, **quota: int | None) -> None:
    answer = bucket.client.patch(bucket.path, json={"quota": quota})
    assert answer.status_code == 200, answer.text


def first_refusal(client: httpx2.Client, bucket: TestBucket) -> httpx2.Response:
    """What is answered once the limit is reached (within 200 requests)."""
    for _ in range(200):
        if (answer := post(client, bucket)).status_code != 202:
            return answer
    raise AssertionError("200 requests got in")


def test_a_key_over_its_rate_waits_as_long_as_told_and_gets_in(shared_server: Server, bucket: TestBucket) -> None:
    with key_for(shared_server, bucket, rate_limit=5) as client:
        refused = first_refusal(client, bucket)
        assert_problem(refused, 429, "over-quota")
        assert refused.headers["ratelimit-policy"] == '"key";q=5;w=1'
        assert refused.headers["ratelimit"] == f'"key";r=0;t={refused.headers["retry-after"]}'
        for _ in range(2):
            time.sleep(int(first_refusal(client, bucket).headers["retry-after"]))
            assert post(client, bucket).status_code == 202


def test_of_a_flood_only_the_limit_gets_in(shared_server: Server, bucket: TestBucket) -> None:
    with key_for(shared_server, bucket, rate_limit=20) as client, ThreadPoolExecutor(16) as pool:
        began = time.monotonic()
        statuses = [answer.status_code for answer in pool.map(lambda _: post(client, bucket), range(200))]
        took = time.monotonic() - began
    assert statuses.count(202) + statuses.count(429) == 200
    assert 20 <= statuses.count(202) <= 20 + 20 * took + 3


def test_a_batch_is_waited_for_and_reads_are_limited_too(shared_server: Server, bucket: TestBucket) -> None:
    with key_for(shared_server, bucket, rate_limit=50) as client:
        assert post(client, bucket, 500).status_code == 202
        refused = post(client, bucket)
        assert refused.status_code == 429
        assert 7 <= int(refused.headers["retry-after"]) <= 10
        assert_problem(client.get(f"{bucket.path}/events"), 429, "over-quota")


def test_a_bucket_over_its_rate_refuses_every_key_and_other_buckets_do_not(
    shared_server: Server, bucket: TestBucket
) -> None:
    other = TestBucket(bucket.client, f"{bucket.name}-other")
    assert bucket.client.post("/v1/buckets", json={"name": other.name}).status_code == 201
    set_quota(bucket, events_per_second=10)
    with key_for(shared_server, bucket) as first, key_for(shared_server, bucket) as second:
        assert post(first, bucket, 100).status_code == 202
        for client in (first, second, bucket.client):
            refused = post(client, bucket)
            assert refused.status_code == 429
            assert refused.headers["ratelimit-policy"] == '"bucket";q=10;w=1'
        assert post(bucket.client, other).status_code == 202
        assert first.get(f"{bucket.path}/events").status_code == 200
        set_quota(bucket, events_per_second=None)
        assert post(first, bucket).status_code == 202
    bucket.client.delete(other.path, params={"confirm": other.name})


def test_bytes_of_a_day_are_used_up_for_that_bucket_alone(shared_server: Server, bucket: TestBucket) -> None:
    set_quota(bucket, bytes_per_day=10 * SIZE)
    with key_for(shared_server, bucket) as client:
        sent = 0
        while (answer := post(client, bucket)).status_code == 202:
            sent += 1
            assert sent <= 10
        assert sent == 10
        assert_problem(answer, 429, "over-quota")
        assert answer.headers["ratelimit-policy"] == f'"bucket-day";q={10 * SIZE};qu="content-bytes";w=86400'
        assert int(answer.headers["retry-after"]) <= 86_400
        assert client.get(f"{bucket.path}/events").status_code == 200
    assert bucket.client.post("/v1/buckets/default/events", json=EVENT).status_code == 202


def test_a_quota_of_the_day_holds_across_a_restart(server: Server) -> None:
    with server.client() as admin:
        bucket = TestBucket(admin, "small")
        assert admin.post("/v1/buckets", json={"name": "small"}).status_code == 201
        set_quota(bucket, bytes_per_day=5 * SIZE)
        assert [post(admin, bucket).status_code for _ in range(6)] == [202] * 5 + [429]
    assert server.stop() == 0
    server.start()
    with server.client() as admin:
        assert post(admin, bucket=TestBucket(admin, "small")).status_code == 429


def test_usage_tells_what_was_sent_by_whom(shared_server: Server, bucket: TestBucket) -> None:
    with key_for(shared_server, bucket) as client:
        assert post(client, bucket, 3).status_code == 202
        assert post(client, bucket).status_code == 202
        assert client.post(f"{bucket.path}/events", content=b"{}").status_code == 422
    report = bucket.client.get("/v1/usage", params={"by": "bucket"}).json()["usage"]
    [line] = [line for line in report if line["bucket"] == bucket.name]
    assert line["events"] == 4
    assert line["bytes"] == 3 * len(json.dumps(EVENT)) + 2 + SIZE


def test_a_user_sees_no_usage_of_others(shared_server: Server, bucket: TestBucket) -> None:
    assert post(bucket.client, bucket).status_code == 202
    with shared_server.client(key=person(shared_server).access_token) as stranger:
        for by in ("bucket", "key", "user"):
            assert stranger.get("/v1/usage", params={"by": by}).json()["usage"] == []


@pytest.mark.parametrize("trusted", ["", "127.0.0.1"])
def test_saying_to_come_from_elsewhere_helps_only_behind_a_trusted_proxy(tmp_path: Path, trusted: str) -> None:
    env = {"HEADRACE_ADDRESS_RATE_LIMIT": "20", "HEADRACE_TRUSTED_PROXIES": trusted}
    server = Server(tmp_path / "data", env=env).start()
    try:
        with server.client() as client, ThreadPoolExecutor(8) as pool:
            bucket = TestBucket(client, "default")
            answers = pool.map(
                lambda number: post(client, bucket, **{"x-forwarded-for": f"198.51.{number}.1"}).status_code, range(150)
            )
            assert (429 in list(answers)) == (trusted == "")
    finally:
        server.close()


def test_settings_limit_keys_and_users_without_their_own(tmp_path: Path) -> None:
    env = {"HEADRACE_KEY_RATE_LIMIT": "30", "HEADRACE_USER_RATE_LIMIT": "10"}
    server = Server(tmp_path / "data", env=env).start()
    try:
        ada = person(server, role="admin")
        with server.client(key=ada.access_token) as client:
            assert first_refusal(client, TestBucket(client, "default")).headers["ratelimit-policy"] == '"user";q=10;w=1'
        with server.client() as client:
            assert first_refusal(client, TestBucket(client, "default")).headers["ratelimit-policy"] == '"key";q=30;w=1'
    finally:
        server.close()


def test_the_doors_of_signing_in_count_for_the_address_too_and_health_never(tmp_path: Path) -> None:
    server = Server(tmp_path / "data", env={"HEADRACE_ADDRESS_RATE_LIMIT": "10"}).start()
    try:
        with server.client(key="") as client:
            asked = [client.post("/v1/auth/password-reset", json={"email": f"a{n}@example.com"}) for n in range(40)]
            assert asked[0].status_code == 202
            assert_problem(next(answer for answer in asked if answer.status_code == 429), 429, "over-quota")
            assert {client.get("/health/live").status_code for _ in range(40)} == {200}
    finally:
        server.close()
