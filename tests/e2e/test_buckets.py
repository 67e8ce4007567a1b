"""Buckets, call by call."""

from __future__ import annotations

import time
import uuid

import httpx2
import pytest

from tests.e2e.conftest import TestBucket, assert_problem


def test_a_bucket_is_made_listed_described_changed_and_deleted(client: httpx2.Client) -> None:
    name = f"b-{uuid.uuid4().hex[:10]}"
    made = client.post("/v1/buckets", json={"name": name, "description": "Bills", "retention_days": 30})
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "name": name, "description": "Bills", "retention_days": 30, "created_at": "",
    }  # fmt: skip
    assert name in [one["name"] for one in client.get("/v1/buckets").json()["buckets"]]
    assert client.get(f"/v1/buckets/{name}").json()["events"] == 0
    changed = client.patch(f"/v1/buckets/{name}", json={"description": "Invoices", "quota": {"events_per_second": 100}})
    assert changed.status_code == 200
    assert changed.json()["description"] == "Invoices"
    assert changed.json()["retention_days"] == 30
    assert changed.json()["quota"] == {"events_per_second": 100}
    assert client.delete(f"/v1/buckets/{name}", params={"confirm": name}).status_code == 204
    assert_problem(client.get(f"/v1/buckets/{name}"), 404)
    assert name not in [one["name"] for one in client.get("/v1/buckets").json()["buckets"]]


def test_default_is_there_from_the_start_and_audit_too(client: httpx2.Client) -> None:
    assert {"default", "_audit"} <= {one["name"] for one in client.get("/v1/buckets").json()["buckets"]}


def test_a_description_tells_how_many_events_from_when_to_when(bucket: TestBucket) -> None:
    bucket.record(
        {"message": "old", "time": "2026-01-01T00:00:00Z"}, {"message": "new", "time": "2026-02-01T00:00:00.5Z"}
    )
    told = bucket.client.get(bucket.path).json()
    assert (told["events"], told["oldest"], told["newest"]) == (
        2, "2026-01-01T00:00:00.000000Z", "2026-02-01T00:00:00.500000Z",
    )  # fmt: skip


def test_retention_null_keeps_for_ever(bucket: TestBucket) -> None:
    bucket.client.patch(bucket.path, json={"retention_days": 7})
    assert bucket.client.get(bucket.path).json()["retention_days"] == 7
    assert "retention_days" not in bucket.client.patch(bucket.path, json={"retention_days": None}).json()


def test_a_name_that_is_taken_is_a_conflict(bucket: TestBucket) -> None:
    assert_problem(bucket.client.post("/v1/buckets", json={"name": bucket.name}), 409)


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "Upper"}, {"name": "a b"}, {"name": ""}, {"name": "a" * 64}, {"name": "ok", "color": "red"},
     {"name": "ok", "retention_days": 0}, {"name": "ok", "retention_days": "7"}, {"name": "ok", "description": "\0"},
     {"name": "ok", "description": "x" * 1001}, {"name": "a\n"}, {"name": None}, []],
)  # fmt: skip
def test_a_bucket_that_is_not_valid_is_422_and_names_the_field(client: httpx2.Client, body: object) -> None:
    assert assert_problem(client.post("/v1/buckets", json=body), 422)["errors"]


def test_the_names_of_the_system_cannot_be_taken(client: httpx2.Client) -> None:
    assert_problem(client.post("/v1/buckets", json={"name": "_mine"}), 403)


@pytest.mark.parametrize("confirm", [None, "", "other"])
def test_a_deletion_must_be_confirmed_by_the_name(bucket: TestBucket, confirm: str | None) -> None:
    query = {} if confirm is None else {"confirm": confirm}
    assert_problem(bucket.client.delete(bucket.path, params=query), 400)
    assert bucket.client.get(bucket.path).status_code == 200


@pytest.mark.parametrize("name", ["default", "_audit"])
def test_what_the_system_needs_cannot_be_deleted(client: httpx2.Client, name: str) -> None:
    assert_problem(client.delete(f"/v1/buckets/{name}", params={"confirm": name}), 403)


def test_a_new_bucket_of_an_old_name_has_none_of_its_events(bucket: TestBucket) -> None:
    bucket.record({"message": "of the first"})
    bucket.client.delete(bucket.path, params={"confirm": bucket.name})
    bucket.client.post("/v1/buckets", json={"name": bucket.name})
    assert bucket.list() == []
    bucket.record({"message": "of the second"})
    assert bucket.messages() == ["of the second"]


@pytest.mark.parametrize(
    ("method", "noun"),
    [("GET", ""), ("PATCH", ""), ("DELETE", "?confirm=nothing-here"), ("GET", "/events"), ("POST", "/events"),
     ("GET", "/events/01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"), ("GET", "/histogram"), ("GET", "/facets?fields=level"),
     ("GET", "/tail"), ("GET", "/export")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["nothing-here", "No%20Name", "%2e%2e", "a'b", "%00", "é"])
def test_a_bucket_that_is_not_there_is_404_at_every_door(
    client: httpx2.Client, method: str, noun: str, name: str
) -> None:
    body = {"json": {}} if method in ("PATCH", "POST") else {}
    assert_problem(client.request(method, f"/v1/buckets/{name}{noun}", **body), 404)  # type: ignore[arg-type]


def test_what_an_administrator_did_is_in_the_audit_bucket(bucket: TestBucket) -> None:
    bucket.client.patch(bucket.path, json={"description": "changed"})
    for _ in range(100):
        found = bucket.client.get("/v1/buckets/_audit/events", params={"target": bucket.name}).json()["events"]
        if len(found) == 2:
            break
        time.sleep(0.05)  # the outbox is looked at twice a second
    assert {event["action"] for event in found} == {"bucket.created", "bucket.updated"}


def test_nobody_writes_to_the_audit_bucket(client: httpx2.Client) -> None:
    assert_problem(client.post("/v1/buckets/_audit/events", json={"message": "forged"}), 403)
