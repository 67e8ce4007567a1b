"""Tasks on a running server: submitted, run, watched, cancelled, told of in `_tasks`, kept over a restart."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import assert_problem
from tests.e2e.test_bad_input import PACKED, _bomb
from tests.support.people import person, unused_name
from tests.support.server import Server
from tests.support.waiting import becomes

NDJSON = {"content-type": "application/x-ndjson"}
DIGITS = "9" * 5_000


def submit(client: httpx2.Client, kind: str = "waits", **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/tasks", json={"type": kind, **more})
    assert answer.status_code == 202, answer.text
    task: dict[str, Any] = answer.json()
    return task


@pytest.fixture
def theirs(shared_server: Server) -> Iterator[httpx2.Client]:
    """A user without any grant."""
    with shared_server.client(key=person(shared_server).access_token) as client:
        yield client


# --- One ----------------------------------------------------------------------------------------------------------


def test_five_and_ten_is_fifteen(client: httpx2.Client) -> None:
    task = submit(client, "add", args={"a": 5, "b": 10})
    done = client.get(f"/v1/tasks/{task['id']}", params={"wait": "20s"}).json()
    assert (done["status"], done["result"], done["attempt"]) == ("succeeded", 15, 1)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]


def test_wrong_args_of_a_handler_are_refused_by_name(client: httpx2.Client) -> None:
    answer = client.post("/v1/tasks", json={"type": "add", "args": {"a": "five", "c": 1}})
    fields = {item["field"] for item in assert_problem(answer, 422)["errors"]}
    assert "args.a" in fields
    assert "args.b" in fields


def test_args_keep_every_digit(client: httpx2.Client) -> None:
    args = b'{"n":  %s, "m":1.10, "n":1e999}' % DIGITS.encode()
    body = b'{"type": "waits", "args": ' + args + b"}"
    made = client.post("/v1/tasks", content=body, headers={"content-type": "application/json"})
    assert made.status_code == 202
    assert b'"args":' + args in made.content
    id_ = made.content.split(b'"id":"')[1][:36].decode()
    assert b'"args":' + args in client.get(f"/v1/tasks/{id_}").content


def test_the_life_of_a_task_that_nobody_runs(client: httpx2.Client) -> None:
    task = submit(client, unused_name(), delay="1h", priority=3, concurrency_key="k", timeout="5m")
    path = f"/v1/tasks/{task['id']}"
    assert (task["status"], task["timeout"], task["concurrency_key"]) == ("scheduled", 300, "k")
    assert client.patch(path, json={"run_at": None, "priority": 9}).json()["status"] == "queued"
    assert client.post(f"{path}/cancel").json()["status"] == "cancelled"
    assert client.post(f"{path}/retry").json()["status"] == "queued"
    assert_problem(client.delete(path), 409, "task-state")
    client.post(f"{path}/cancel")
    assert client.delete(path).json()["status"] == "cancelled"
    assert_problem(client.get(path), 404, "unknown-task")


def test_a_key_makes_one_task_whatever_the_way_it_is_given(client: httpx2.Client) -> None:
    key = unused_name()
    first = submit(client, idempotency_key=key)
    again = client.post("/v1/tasks", json={"type": "waits"}, headers={"idempotency-key": key})
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    other = client.post("/v1/tasks", json={"type": "another"}, headers={"idempotency-key": key})
    assert_problem(other, 422, "idempotency-key-reused")


# --- Many ---------------------------------------------------------------------------------------------------------


def test_a_batch_is_taken_line_by_line_and_safe_to_repeat(client: httpx2.Client) -> None:
    kind = unused_name()
    lines = b"\n".join([b'{"type": "%s"}' % kind.encode()] * 2_500 + [b"{broken", b'{"type": "t", "x": 1}'])
    headers = {**NDJSON, "idempotency-key": kind, "content-encoding": "gzip"}
    told = [client.post("/v1/tasks/batch", content=gzip.compress(lines), headers=headers).json() for _ in range(2)]
    assert (told[0]["accepted"], told[0]["rejected"]) == (2_500, 2)
    assert [error["index"] for error in told[0]["errors"]] == [2_500, 2_501]
    assert told[0] == told[1]
    assert len(set(told[0]["ids"])) == 2_500
    pages: list[str] = []
    params: dict[str, Any] = {"type": kind, "limit": 1000}
    while True:
        page = client.get("/v1/tasks", params=params).json()
        pages += [task["id"] for task in page["tasks"]]
        if "next_cursor" not in page:
            break
        params["cursor"] = page["next_cursor"]
    assert pages == sorted(told[0]["ids"], reverse=True)


def test_a_bulk_action_cancels_what_it_matches(client: httpx2.Client) -> None:
    kind = unused_name()
    client.post("/v1/tasks/batch", json=[{"type": kind}] * 20)
    done = client.post("/v1/tasks/bulk", json={"action": "cancel", "filter": {"type": kind}})
    assert done.status_code == 202, done.text
    end = client.get(f"/v1/tasks/{done.json()['id']}", params={"wait": "20s"}).json()
    assert (end["status"], end["result"]) == ("succeeded", {"matched": 20, "changed": 20})
    assert len(client.get("/v1/tasks", params={"type": kind, "status": "cancelled"}).json()["tasks"]) == 20


# --- Whose --------------------------------------------------------------------------------------------------------


def test_what_became_of_ones_tasks_is_in_the_bucket_tasks_and_nobody_elses(
    client: httpx2.Client, theirs: httpx2.Client
) -> None:
    mine, other = submit(theirs, unused_name()), submit(client, unused_name())
    events = "/v1/buckets/_tasks"

    def told(task: dict[str, Any], who: httpx2.Client = theirs) -> list[dict[str, Any]]:
        answer = who.get(f"{events}/events", params={"attr.task_id": task["id"]})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["events"]
        return found

    becomes(lambda: bool(told(mine)) and bool(told(other, client)), within=20)
    assert told(other) == []
    (event,) = told(mine)
    (foreign,) = told(other, client)
    assert (event["action"], event["actor"]["id"]) == ("task.queued", mine["owner"])
    assert theirs.get(f"{events}/events/{event['id']}").json() == event
    assert_problem(theirs.get(f"{events}/events/{foreign['id']}"), 404)
    bars = theirs.get(f"{events}/histogram", params={"interval": "1d"}).json()["buckets"]
    assert sum(bar["count"] for bar in bars) == 1
    facets = theirs.get(f"{events}/facets", params={"fields": "actor"}).json()["facets"]
    assert facets == {"actor": [{"value": mine["owner"], "count": 1}]}
    lines = theirs.get(f"{events}/export").text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [event["id"]]
    assert_problem(theirs.get(events), 404)
    assert "_tasks" not in [bucket["name"] for bucket in theirs.get("/v1/buckets").json()["buckets"]]
    assert "_tasks" in [bucket["name"] for bucket in client.get("/v1/buckets").json()["buckets"]]
    assert_problem(theirs.post(f"{events}/events", json={"message": "forged"}), 404)


def test_a_tail_of_the_bucket_tasks_shows_ones_own(client: httpx2.Client, theirs: httpx2.Client) -> None:
    kinds = [unused_name() for _ in range(2)]
    with theirs.stream("GET", "/v1/buckets/_tasks/tail") as stream:
        lines = stream.iter_lines()
        next(lines)
        submit(client, kinds[0])
        submit(theirs, kinds[1])
        shown = next(line for line in lines if line.startswith("data:"))
    assert json.loads(shown.removeprefix("data: "))["attributes"]["type"] == kinds[1]


def test_with_read_on_the_bucket_tasks_one_sees_all_and_changes_nothing(
    shared_server: Server, client: httpx2.Client
) -> None:
    reader = person(shared_server)
    grant = client.put(f"/v1/buckets/_tasks/grants/{reader.id}", json={"permissions": ["read"]})
    assert grant.status_code == 200, grant.text
    task = submit(client, unused_name())
    with shared_server.client(key=reader.access_token) as theirs:
        becomes(lambda: theirs.get(f"/v1/tasks/{task['id']}").status_code == 200, within=6)
        assert_problem(theirs.post(f"/v1/tasks/{task['id']}/cancel"), 403)
        assert_problem(theirs.patch("/v1/queues/default", json={"paused": True}), 403)


# --- Bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks/batch"])
@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED.keys())
def test_a_body_that_cannot_be_unpacked_is_400(client: httpx2.Client, path: str, encoding: str, body: bytes) -> None:
    assert_problem(client.post(path, content=body, headers={"content-encoding": encoding}), 400)


@pytest.mark.parametrize("pack", ["gzip", "deflate", "zstd"])
def test_a_bomb_is_refused_before_it_unpacks(client: httpx2.Client, pack: str) -> None:
    for path in ("/v1/tasks", "/v1/tasks/batch"):
        assert client.post(path, content=_bomb(pack), headers={"content-encoding": pack}).status_code in (413, 400)
    assert client.get("/v1/status").status_code == 200


def test_a_body_over_the_limit_is_refused_whether_it_says_so_or_not(client: httpx2.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(400):
            yield b" " * 1024

    for path in ("/v1/tasks", "/v1/tasks/batch"):
        content = b" " * (17 * 1024 * 1024)
        assert_problem(client.post(path, content=content, headers=NDJSON | {"content-type": "application/json"}), 413)
    try:
        answer = client.post("/v1/tasks", content=chunks(), headers={"content-type": "application/json"})
    except (httpx2.WriteError, httpx2.ReadError, httpx2.RemoteProtocolError):
        return  # refused while it was being sent, and the connection closed
    assert_problem(answer, 413)


# --- Ends and beginnings ------------------------------------------------------------------------------------------


def test_tasks_and_schedules_outlast_a_restart(server: Server) -> None:
    with server.client() as client:
        task = submit(client, "outlasts", args={"n": 1.0})
        nightly = {"name": "nightly", "cron": "30 3 * * *", "task": {"type": "outlasts"}}
        schedule = client.post("/v1/schedules", json=nightly).json()
        server.kill()
        server.start()
        assert client.get(f"/v1/tasks/{task['id']}").json() == task
        assert schedule in client.get("/v1/schedules").json()["schedules"]


def test_who_waits_is_answered_when_the_server_stops(server: Server) -> None:
    answers: list[httpx2.Response] = []

    def ask(method: str, path: str, **more: Any) -> None:
        with server.client() as client:
            answers.append(client.request(method, path, **more))

    with server.client() as client:
        task = submit(client)
    waiting = [
        threading.Thread(target=ask, args=("GET", f"/v1/tasks/{task['id']}?wait=60s")),
        threading.Thread(target=lambda: ask("POST", "/v1/queues/empty/lease", json={"wait": 60})),
    ]
    for thread in waiting:
        thread.start()
    time.sleep(0.5)  # until they wait, which nothing outside shows
    began = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - began < 8
    for thread in waiting:
        thread.join(5)
    assert sorted(answer.status_code for answer in answers) == [200, 200]
