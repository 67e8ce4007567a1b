"""Viewer tokens over HTTP: one customer's part of a bucket, whatever the holder tries, for as long as it was meant."""

from __future__ import annotations

import csv
import io
import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import TestBucket, assert_problem
from tests.support.server import Server
from tests.support.waiting import becomes

ACME = {"attr.tenant": "acme"}
WIDER: list[list[tuple[str, str]]] = [
    [],
    [("attr.tenant", "zeta")],
    [("attr.tenant", "zeta"), ("attr.tenant", "acme")],
    [("attr.tenant", "acme"), ("attr.other", "x")],
    [("q", "zeta")],
    [("q", "")],
    [("q", "-acme")],
    [("q", '" OR 1=1 --')],
    [("level", "info"), ("level", "error"), ("level", "trace")],
    [("min_level", "trace")],
    [("since", "0")],
    [("since", "9999w"), ("until", "2261-01-01T00:00:00Z")],
    [("service", "shop"), ("service", "zeta")],
    [("action", "*")],
    [("actor", "u-zeta"), ("actor", "u-acme")],
    [("target", "%")],
]


def mint(bucket: TestBucket, filter: object = ACME, **more: Any) -> httpx2.Response:
    body = {"bucket": bucket.name, "filter": filter, "expires_in": "10m", **more}
    return bucket.client.post("/v1/viewer-tokens", json=body)


def fill(bucket: TestBucket) -> None:
    """Forty events of two tenants, by turns."""
    bucket.record(*(
        {
            "message": f"{tenant} {n}", "time": f"2026-11-20T12:{n:02}:00Z", "level": "error" if n % 4 < 2 else "info",
            "service": "shop", "action": f"{tenant}.paid", "actor": f"u-{tenant}", "attributes": {"tenant": tenant},
        }
        for n in range(40) for tenant in [("acme", "zeta")[n % 2]]
    ))  # fmt: skip


@pytest.fixture
def viewer(shared_server: Server, bucket: TestBucket) -> Iterator[TestBucket]:
    """The bucket as acme sees it."""
    fill(bucket)
    made = mint(bucket)
    assert made.status_code == 201, made.text
    with shared_server.client(key=made.json()["token"]) as connected:
        yield TestBucket(connected, bucket.name)


def is_inside(events: list[dict[str, Any]]) -> bool:
    return all(event["attributes"]["tenant"] == "acme" for event in events)


def ask(viewer: TestBucket, noun: str, query: list[tuple[str, str]], **headers: str) -> httpx2.Response:
    answer = viewer.client.get(f"{viewer.path}/{noun}", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


# --- It cannot be widened -----------------------------------------------------------------------------------------


def test_its_holder_sees_all_of_its_part(viewer: TestBucket, bucket: TestBucket) -> None:
    assert viewer.list(limit="100") == [one for one in bucket.list(limit="100") if is_inside([one])]
    assert len(viewer.list(limit="100")) == 20


@pytest.mark.parametrize("query", WIDER, ids=str)
def test_no_parameter_shows_more(viewer: TestBucket, query: list[tuple[str, str]]) -> None:
    for order in ("asc", "desc"):
        assert is_inside(ask(viewer, "events", [*query, ("order", order), ("limit", "1000")]).json()["events"])
    events = ask(viewer, "events", [*query, ("limit", "1000")]).json()["events"]
    bars = ask(viewer, "histogram", [*query, ("by", "action")]).json()["buckets"]
    assert sum(bar["count"] for bar in bars) == len(events)
    assert {name for bar in bars for name in bar.get("by", {})} <= {"acme.paid"}
    facets = ask(viewer, "facets", [*query, ("fields", "action,actor,service")]).json()["facets"]
    for field, value in (("action", "acme.paid"), ("actor", "u-acme"), ("service", "shop")):
        expected = [{"value": value, "count": len(events)}] if events else []
        assert facets[field] == expected
    assert is_inside([json.loads(line) for line in ask(viewer, "export", query).text.splitlines()])


def test_no_cursor_leads_outside(viewer: TestBucket, bucket: TestBucket) -> None:
    for order in ("asc", "desc"):
        page = bucket.get("events", order=order, limit="1")
        for _ in range(6):  # of the administrator's pages, also from right before an event of the other tenant
            mine = viewer.get("events", cursor=page["next_cursor"], limit="1000")
            assert mine["events"]
            assert is_inside(mine["events"])
            page = bucket.get("events", cursor=page["next_cursor"], limit="1")
    assert is_inside(viewer.get("events", limit="5", offset="7")["events"])


def test_an_event_of_somebody_else_is_not_there(viewer: TestBucket, bucket: TestBucket) -> None:
    absent = uuid.uuid4()
    nothing = assert_problem(viewer.client.get(f"{viewer.path}/events/{absent}"), 404)
    for event in bucket.list():
        answer = viewer.client.get(f"{viewer.path}/events/{event['id']}")
        if is_inside([event]):
            assert answer.json() == event
        else:
            problem = assert_problem(answer, 404)
            assert problem["detail"].replace(event["id"], "") == nothing["detail"].replace(str(absent), "")


def test_a_tail_from_the_very_first_position_brings_its_part(viewer: TestBucket, bucket: TestBucket) -> None:
    messages = []
    with viewer.client.stream("GET", f"{viewer.path}/tail", headers={"last-event-id": "0"}, timeout=20) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                messages.append(json.loads(line[6:])["message"])
            if len(messages) == 20:
                bucket.record(
                    {"message": "zeta live", "attributes": {"tenant": "zeta"}},
                    {"message": "acme live", "attributes": {"tenant": "acme"}},
                )
            if len(messages) == 21:
                break
    assert messages == [*(f"acme {n}" for n in range(0, 40, 2)), "acme live"]


@pytest.mark.parametrize("format", ["ndjson", "csv", "parquet"])
def test_an_export_is_of_its_part(viewer: TestBucket, format: str) -> None:
    body = ask(viewer, "export", [("format", format), ("attr.tenant", "acme"), ("attr.tenant", "zeta")]).content
    if format == "parquet":
        messages = pq.read_table(io.BytesIO(body))["message"].to_pylist()
    elif format == "csv":
        messages = [row["message"] for row in csv.DictReader(io.StringIO(body.decode("utf-8-sig")))]
    else:
        messages = [json.loads(line)["message"] for line in body.splitlines()]
    assert messages == [f"acme {n}" for n in range(0, 40, 2)]


# --- It opens nothing else ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/buckets"), ("GET", "{bucket}"), ("PATCH", "{bucket}"), ("DELETE", "{bucket}?confirm=x"),
        ("GET", "{bucket}/grants"), ("POST", "/v1/buckets"), ("GET", "/v1/status"), ("GET", "/v1/keys"),
        ("POST", "/v1/keys"), ("POST", "/v1/viewer-tokens"), ("GET", "/v1/users"), ("GET", "/v1/users/me"),
        ("GET", "/v1/usage"), ("GET", "/v1/dead-letters"), ("GET", "/v1/backup"), ("POST", "{bucket}/events"),
    ],
)  # fmt: skip
def test_everything_else_is_forbidden(viewer: TestBucket, method: str, path: str) -> None:
    body = {"json": {"name": "x", "message": "x"}} if method in ("POST", "PATCH") else {}
    answer = viewer.client.request(method, path.replace("{bucket}", viewer.path), **body)  # type: ignore[arg-type]
    assert_problem(answer, 403)


@pytest.mark.parametrize(
    "noun", ["events", "histogram", "facets?fields=service", "tail", "export", f"events/{uuid.UUID(int=1)}"]
)
def test_other_buckets_are_not_there(viewer: TestBucket, noun: str) -> None:
    for name in ("default", "_audit", "no-such-bucket"):
        assert_problem(viewer.client.get(f"/v1/buckets/{name}/{noun}"), 404, "unknown-bucket")


def test_nor_is_a_later_bucket_of_the_same_name(shared_server: Server, client: httpx2.Client) -> None:
    name = f"t-{uuid.uuid4().hex[:12]}"
    for _ in range(2):
        client.post("/v1/buckets", json={"name": name})
    bucket = TestBucket(client, name)
    token = mint(bucket, {}).json()["token"]
    client.delete(bucket.path, params={"confirm": name})
    client.post("/v1/buckets", json={"name": name})
    with shared_server.client(key=token) as viewer:
        assert_problem(viewer.get(f"{bucket.path}/events"), 404, "unknown-bucket")
    client.delete(bucket.path, params={"confirm": name})


# --- Making one ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"filter": {"attr.tenant": []}}, "filter.attr.tenant"),
        ({"filter": {"q": " "}}, "filter.q"),
        ({"filter": {"tenant": "acme"}}, "filter.tenant"),
        ({"filter": {"level": "loud"}}, "filter.level"),
        ({"filter": {"attr.tenant": None}}, None),
        ({"filter": {"attr.tenant": 7}}, None),
        ({"filter": "attr.tenant=acme"}, "filter"),
        ({"filter": None}, "filter"),
        ({"filter": {f"attr.a{n}": "x" * 200 for n in range(12)}}, "filter"),
        ({"expires_in": "25h"}, "expires_in"),
        ({"expires_in": 0}, "expires_in"),
    ],
)
def test_what_is_not_good_is_refused_with_its_place(
    bucket: TestBucket, change: dict[str, Any], field: str | None
) -> None:
    problem = assert_problem(mint(bucket, **change), 422)
    assert field is None or problem["errors"][0]["field"] == field


def test_a_filter_must_be_said(bucket: TestBucket) -> None:
    answer = bucket.client.post("/v1/viewer-tokens", json={"bucket": bucket.name, "expires_in": 60})
    assert assert_problem(answer, 422)["errors"][0]["field"] == "filter"


def test_several_values_and_an_age_are_taken(shared_server: Server, bucket: TestBucket) -> None:
    bucket.record({"message": "old", "action": "user.made", "time": "2020-01-01T00:00:00Z"})
    bucket.record({"message": "paid", "action": "invoice.paid"}, {"message": "made", "action": "user.made"})
    bucket.record({"message": "other", "action": "job.done"})
    token = mint(bucket, {"action": ["invoice.*", "user.*"], "since": "7d"}).json()["token"]
    with shared_server.client(key=token) as viewer:
        assert set(TestBucket(viewer, bucket.name).messages()) == {"paid", "made"}


def test_its_making_is_in_the_audit_trail_without_the_token(bucket: TestBucket) -> None:
    token = mint(bucket).json()["token"]
    asked = {"action": "viewer_token.created", "target": bucket.name}
    audit = TestBucket(bucket.client, "_audit")
    becomes(lambda: bool(audit.list(**asked)), within=30)
    found = audit.list(**asked)
    assert found[0]["attributes"]["filter"] == {"attr.tenant": ["acme"]}
    assert token.split(".")[2] not in json.dumps(found)


# --- It dies ------------------------------------------------------------------------------------------------------


def test_it_expires(shared_server: Server, bucket: TestBucket) -> None:
    token = mint(bucket, expires_in=1).json()["token"]
    with shared_server.client(key=token) as viewer:
        becomes(lambda: viewer.get(f"{bucket.path}/events").status_code != 200, within=4)
        assert_problem(viewer.get(f"{bucket.path}/events"), 401, "expired-token")


def test_it_is_dead_within_five_seconds_of_its_makers_key_and_so_is_its_tail(
    shared_server: Server, bucket: TestBucket
) -> None:
    grants = [{"bucket": bucket.name, "permissions": ["manage"]}]
    made = bucket.client.post("/v1/keys", json={"name": "maker", "grants": grants}).json()
    with shared_server.client(key=made["key"]) as maker:
        token = mint(TestBucket(maker, bucket.name)).json()["token"]
    with shared_server.client(key=token) as viewer:
        came: list[str] = []
        begun = threading.Event()

        def follow() -> None:
            with viewer.stream("GET", f"{bucket.path}/tail", timeout=20) as answer:
                for line in answer.iter_lines():
                    begun.set()
                    came.append(line)

        tail = threading.Thread(target=follow)
        tail.start()
        assert begun.wait(30)
        assert viewer.get(f"{bucket.path}/events").status_code == 200
        assert bucket.client.delete(f"/v1/keys/{made['id']}").status_code == 204
        becomes(lambda: viewer.get(f"{bucket.path}/events").status_code != 200, within=6)
        assert_problem(viewer.get(f"{bucket.path}/events"), 401)
        bucket.record({"message": "acme afterwards", "attributes": {"tenant": "acme"}})
        tail.join(15)
        assert not tail.is_alive()
        assert "acme afterwards" not in "".join(came)


@pytest.mark.parametrize("permissions", [["read"], ["write"], ["read", "write"]])
def test_only_who_manages_the_bucket_makes_one(
    shared_server: Server, bucket: TestBucket, permissions: list[str]
) -> None:
    grants = [{"bucket": bucket.name, "permissions": permissions}]
    made = bucket.client.post("/v1/keys", json={"name": "k", "grants": grants}).json()
    with shared_server.client(key=made["key"]) as client:
        assert_problem(mint(TestBucket(client, bucket.name)), 403)
        assert_problem(mint(TestBucket(client, "default")), 404)


def test_a_changed_token_is_no_token(shared_server: Server, bucket: TestBucket) -> None:
    token = mint(bucket).json()["token"]
    head, body, signature = token.split(".")
    middle = len(body) // 2
    other = "A" if body[middle] != "A" else "B"
    for broken in (
        f"{head}.{body[:middle]}{other}{body[middle + 1 :]}.{signature}",
        f"{head}.{body}.{signature[:-5]}AAAAA",
        f"{head}.{body}.",
        f"{body}.{body}.{signature}",
    ):
        with shared_server.client(key=broken) as client:
            assert_problem(client.get(f"{bucket.path}/events"), 401)
