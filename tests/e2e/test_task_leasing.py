"""A worker in any language: leases over HTTP, lost leases, and what it logged."""

from __future__ import annotations

import time
from typing import Any

import httpx2

from tests.e2e.conftest import assert_problem
from tests.e2e.test_tasks import submit
from tests.support.people import person, unused_name
from tests.support.server import Server
from tests.support.waiting import becomes

Task = dict[str, Any]


def lease(client: httpx2.Client, queue: str, **more: Any) -> list[Task]:
    answer = client.post(f"/v1/queues/{queue}/lease", json=more)
    assert answer.status_code == 200, answer.text
    tasks: list[Task] = answer.json()["tasks"]
    return tasks


def say(client: httpx2.Client, task: Task, verb: str, **more: Any) -> httpx2.Response:
    return client.post(f"/v1/tasks/{task['id']}/{verb}", json={"lease": task["lease"], **more})


def test_a_worker_leases_beats_logs_and_completes(client: httpx2.Client) -> None:
    queue = unused_name()
    made = submit(client, "shout", queue=queue, args={"text": "hello"})
    (task,) = lease(client, queue, max=10, lease_seconds="30s", types=["shout"])
    assert (task["id"], task["status"], task["args"]) == (made["id"], "running", {"text": "hello"})
    log = [{"message": "half of it", "level": "WARN", "attributes": {"n": 1}}]
    held = say(client, task, "heartbeat", lease_seconds=60, progress={"done": 0.5}, logs=log)
    assert held.json()["leased_until"] > task["leased_until"]
    assert client.get(f"/v1/tasks/{task['id']}").json()["progress"] == {"done": 0.5}
    done = say(client, task, "complete", result=["HELLO"], logs=[{"message": "all of it"}]).json()
    assert (done["status"], done["result"]) == ("succeeded", ["HELLO"])

    def told() -> set[str]:
        found = client.get("/v1/buckets/_tasks/events", params={"attr.task_id": task["id"]}).json()["events"]
        return {event["message"] for event in found}

    whole = {"shout queued", "shout running", "half of it", "all of it", "shout succeeded"}
    becomes(lambda: told() == whole, within=20)
    found = client.get("/v1/buckets/_tasks/events", params={"attr.task_id": task["id"], "level": "warning"}).json()
    assert found["events"][0]["attributes"]["fields"] == {"n": 1}


def test_a_lease_that_ran_out_is_anothers_and_the_first_one_is_told(client: httpx2.Client) -> None:
    queue = unused_name()
    submit(client, queue=queue)
    (first,) = lease(client, queue, lease_seconds=1)
    (second,) = lease(client, queue, wait="20s")
    assert (second["id"], second["attempt"]) == (first["id"], 2)
    assert int(second["lease"]) > int(first["lease"])
    for verb, more in (("heartbeat", {}), ("complete", {"result": 1}), ("fail", {"error": "x"}), ("release", {})):
        assert_problem(say(client, first, verb, **more), 409, "lease-lost")
    assert say(client, second, "complete", result=2).json()["result"] == 2
    assert_problem(say(client, second, "complete", result=3), 409, "lease-lost")


def test_a_lease_waits_for_the_next_task_and_not_longer(client: httpx2.Client) -> None:
    queue = unused_name()
    submit(client, queue=queue, delay=1)
    began = time.monotonic()
    assert len(lease(client, queue, wait="20s")) == 1
    assert time.monotonic() - began < 10
    assert lease(client, queue, wait=0.2) == []


def test_a_task_that_fails_is_tried_again_until_it_is_dead(client: httpx2.Client) -> None:
    queue = unused_name()
    submit(client, queue=queue, max_attempts=2)
    (task,) = lease(client, queue)
    assert say(client, task, "fail", error="busy", retry_after=0).json()["status"] in ("scheduled", "queued")
    (task,) = lease(client, queue, wait="20s")
    dead = say(client, task, "fail", error="still busy").json()
    assert (dead["status"], dead["error"], dead["attempt"]) == ("dead", "still busy", 2)
    again = client.post(f"/v1/tasks/{task['id']}/retry").json()
    assert (again["status"], again["attempt"]) == ("queued", 0)
    assert "error" not in again


def test_who_leases_is_told_to_stop(client: httpx2.Client) -> None:
    queue = unused_name()
    submit(client, queue=queue)
    (task,) = lease(client, queue)
    assert client.post(f"/v1/tasks/{task['id']}/cancel").json()["cancelling"] is True
    assert say(client, task, "heartbeat").json()["cancelling"] is True
    assert say(client, task, "fail", error="stopped").json()["status"] == "cancelled"


def test_everybody_leases_their_own_and_who_manages_the_bucket_tasks_all(
    shared_server: Server, client: httpx2.Client
) -> None:
    queue, somebody = unused_name(), person(shared_server)
    with shared_server.client(key=somebody.access_token) as theirs:
        mine, other = submit(theirs, queue=queue), submit(client, queue=queue)
        assert mine["owner"] == somebody.id
        (task,) = lease(theirs, queue, max=10)
        assert task["id"] == mine["id"]
        assert [one["name"] for one in theirs.get("/v1/queues").json()["queues"]] == [queue]
        grant = {"permissions": ["manage"]}
        assert client.put(f"/v1/buckets/_tasks/grants/{somebody.id}", json=grant).status_code == 200
        becomes(lambda: [one["id"] for one in lease(theirs, queue)] == [other["id"]], within=6)


def test_a_paused_queue_gives_nothing_out_and_a_limit_holds(client: httpx2.Client) -> None:
    queue = unused_name()
    for _ in range(3):
        submit(client, queue=queue)
    assert client.patch(f"/v1/queues/{queue}", json={"paused": True}).json()["paused"] is True
    assert lease(client, queue, max=10) == []
    assert client.patch(f"/v1/queues/{queue}", json={"paused": False, "concurrency": 2}).status_code == 200
    assert len(lease(client, queue, max=10)) == 2
    (told,) = [one for one in client.get("/v1/queues").json()["queues"] if one["name"] == queue]
    assert (told["depth"], told["running"], told["concurrency"]) == (1, 2, 2)
