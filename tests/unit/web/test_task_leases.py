"""Running tasks over HTTP: who holds the lease says what becomes of a task, nobody else. Queues and schedules too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.web.fakes import assert_problem
from tests.unit.web.task_site import TaskSite, task_site

JSON = {"content-type": "application/json"}
DIGITS = b"9" * 5_000


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[TaskSite]:
    async with task_site(tmp_path) as made:
        yield made


async def test_a_leased_task_comes_with_the_number_of_its_lease_and_nobody_else_is_told_it(site: TaskSite) -> None:
    task = await site.leased()
    assert int(task["lease"]) > 0
    assert task["leased_until"] > task["started_at"]
    assert (task["status"], task["attempt"]) == ("running", 1)
    seen = (await site.ask("GET", f"/v1/tasks/{task['id']}")).json()
    assert "lease" not in seen
    assert (await site.ask("POST", "/v1/queues/default/lease")).json() == {"tasks": []}


async def test_the_highest_priority_comes_first_and_only_of_the_types_asked_for(site: TaskSite) -> None:
    for priority, kind in ((1, "a"), (9, "b"), (5, "a"), (9, "c")):
        await site.made({"type": kind, "priority": priority})
    answer = await site.ask("POST", "/v1/queues/default/lease", json={"max": 5, "types": ["a", "b"]})
    assert [task["priority"] for task in answer.json()["tasks"]] == [9, 5, 1]


async def test_a_heartbeat_holds_the_task_and_keeps_its_progress(site: TaskSite) -> None:
    task = await site.leased()
    body = b'{"lease": "%s", "lease_seconds": "10m", "progress": {"n": %s}}' % (task["lease"].encode(), DIGITS)
    answer = await site.ask("POST", f"/v1/tasks/{task['id']}/heartbeat", content=body, headers=JSON)
    assert answer.status_code == 200, answer.text[:300]
    assert set(answer.json()) == {"leased_until"}
    assert answer.json()["leased_until"] > task["leased_until"]
    assert b'"progress":{"n": ' + DIGITS in (await site.ask("GET", f"/v1/tasks/{task['id']}")).content
    await site.ask("POST", f"/v1/tasks/{task['id']}/cancel")
    assert (await site.say(task, "heartbeat", progress=0.5)).json()["cancelling"] is True
    assert (await site.say(task, "fail", error="stopped")).json()["status"] == "cancelled"


@pytest.mark.parametrize("result", [b"15", b"null", b'"text"', b"[1, 2.50]", b'{"b": 1, "a": %s}' % DIGITS, b"-0.0"])
@pytest.mark.parametrize("quoted", [True, False])
async def test_a_result_is_any_json_and_stays_as_it_was_sent(site: TaskSite, result: bytes, quoted: bool) -> None:
    task = await site.leased()
    lease = f'"{task["lease"]}"' if quoted else task["lease"]
    body = b'{"lease": %s, "result": %s}' % (lease.encode(), result)
    answer = await site.ask("POST", f"/v1/tasks/{task['id']}/complete", content=body, headers=JSON)
    assert answer.status_code == 200, answer.text[:300]
    assert b'"status":"succeeded"' in answer.content
    assert b'"result":' + result in answer.content


async def test_a_result_of_a_mebibyte_fits_and_a_larger_one_does_not(site: TaskSite) -> None:
    task = await site.leased()
    fits, too_large = "x" * (1024 * 1024 - 2), "x" * (1024 * 1024 - 1)
    assert_problem(await site.say(task, "complete", result=too_large), 422, "result-too-large")
    assert_problem(await site.say(task, "complete", result="x" * 1_400_000), 413, "too-large")
    assert (await site.say(task, "complete", result=fits)).status_code == 200


async def test_a_task_that_failed_is_tried_later_unless_that_is_no_use(site: TaskSite) -> None:
    task = await site.leased()
    failed = (await site.say(task, "fail", error="550 no such user", retry_after="5m")).json()
    assert (failed["status"], failed["error"]) == ("scheduled", "550 no such user")
    task = await site.leased({"type": "t", "queue": "second"})
    assert (await site.say(task, "fail", error="x" * 10_000, permanent=True)).json()["status"] == "failed"
    assert len((await site.ask("GET", f"/v1/tasks/{task['id']}")).json()["error"]) == 8_192
    task = await site.leased({"type": "t", "queue": "third", "max_attempts": 1})
    assert (await site.say(task, "fail", error="x")).json()["status"] == "dead"


async def test_a_released_task_is_anothers_at_once_and_the_attempt_does_not_count(site: TaskSite) -> None:
    task = await site.leased()
    assert (await site.say(task, "release")).json()["status"] == "queued"
    (again,) = (await site.ask("POST", "/v1/queues/default/lease", json={})).json()["tasks"]
    assert (again["id"], again["attempt"]) == (task["id"], 1)
    assert int(again["lease"]) > int(task["lease"])


@pytest.mark.parametrize(
    ("verb", "more"), [("heartbeat", {}), ("complete", {"result": 1}), ("fail", {"error": "x"}), ("release", {})]
)
async def test_a_lost_lease_is_409_with_every_verb(site: TaskSite, verb: str, more: dict[str, Any]) -> None:
    old = await site.leased()
    await site.say(old, "release")
    (new,) = (await site.ask("POST", "/v1/queues/default/lease", json={})).json()["tasks"]
    for lease in (old["lease"], "0", 0, -1, 2**70, "9" * 19):
        assert_problem(await site.say(old | {"lease": lease}, verb, **more), 409, "lease-lost")
    assert (await site.say(new, "complete")).status_code == 200
    assert_problem(await site.say(new, verb, **more), 409, "lease-lost")


BAD: list[tuple[str, bytes, int, str | None]] = [
    ("complete", b"", 400, None), ("complete", b"{", 400, None), ("complete", b"{}", 422, "lease"),
    ("complete", b'{"lease": "x"}', 422, "lease"), ("complete", b'{"lease": 1.5}', 422, "lease"),
    ("complete", b'{"lease": null}', 422, "lease"), ("complete", b'{"lease": ' + DIGITS + b"}", 422, "lease"),
    ("complete", b'{"lease": 1, "more": 1}', 422, "more"), ("complete", b'{"lease": 1, "result": NaN}', 400, None),
    ("complete", b'{"lease": 1, "result": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, None),
    ("complete", b'{"lease": 1, "result": "\\u0000"}', 422, None),
    ("complete", b'{"lease": 1, "result": "\\ud800"}', 422, None),
    ("complete", b'{"lease": 1, "result": "\xff"}', 400, None),
    ("heartbeat", b'{"lease": 1, "lease_seconds": 0}', 422, "lease_seconds"),
    ("heartbeat", b'{"lease": 1, "lease_seconds": 3601}', 422, "lease_seconds"),
    ("heartbeat", b'{"lease": 1, "lease_seconds": 1e999}', 422, "lease_seconds"),
    ("heartbeat", b'{"lease": 1, "progress": "' + b"x" * 17_000 + b'"}', 422, "progress"),
    ("heartbeat", b'{"lease": 1, "logs": [{"level": "info"}]}', 422, "logs[0].message"),
    ("heartbeat", b'{"lease": 1, "logs": [{"message": "m"}, {"message": "m", "level": "loud"}]}', 422, "logs[1].level"),
    ("heartbeat", b'{"lease": 1, "logs": [{"message": "m", "attributes": []}]}', 422, "logs[0].attributes"),
    ("heartbeat", b'{"lease": 1, "logs": [' + b",".join([b'{"message":""}'] * 1_001) + b"]}", 422, "logs"),
    ("fail", b'{"lease": 1}', 422, "error"), ("fail", b'{"lease": 1, "error": ""}', 422, "error"),
    ("fail", b'{"lease": 1, "error": 5}', 422, "error"),
    ("fail", b'{"lease": 1, "error": "x", "retry_after": -1}', 422, "retry_after"),
    ("fail", b'{"lease": 1, "error": "x", "retry_after": "8d"}', 422, "retry_after"),
    ("fail", b'{"lease": 1, "error": "x", "permanent": 1}', 422, "permanent"),
    ("release", b'{"lease": 1, "error": "x"}', 422, "error"),
]  # fmt: skip


@pytest.mark.parametrize(("verb", "body", "status", "field"), BAD)
async def test_what_is_badly_said_of_a_task_changes_nothing(
    site: TaskSite, verb: str, body: bytes, status: int, field: str | None
) -> None:
    task = await site.leased()
    answer = await site.ask("POST", f"/v1/tasks/{task['id']}/{verb}", content=body, headers=JSON)
    assert answer.status_code == status, answer.text[:500]
    if field is not None:
        assert field in [item.get("field") for item in answer.json()["errors"]], answer.text
    assert (await site.ask("GET", f"/v1/tasks/{task['id']}")).json()["status"] == "running"


@pytest.mark.parametrize(
    ("body", "field"),
    [({"max": 0}, "max"), ({"max": 1_001}, "max"), ({"max": "1"}, "max"), ({"lease_seconds": 0.5}, "lease_seconds"),
     ({"lease_seconds": "2h"}, "lease_seconds"), ({"wait": -1}, "wait"), ({"types": []}, "types"),
     ({"types": "a"}, "types"),
     ({"types": ["a"] * 101}, "types"), ({"types": [""]}, "types[0]"), ({"limit": 1}, "limit")],
)  # fmt: skip
async def test_a_bad_wish_for_a_lease_is_422_and_takes_nothing(site: TaskSite, body: Any, field: str) -> None:
    await site.made()
    answer = await site.ask("POST", "/v1/queues/default/lease", json=body)
    assert answer.status_code == 422, answer.text
    assert [item["field"] for item in answer.json()["errors"]] == [field]
    assert (await site.ask("GET", "/v1/queues")).json()["queues"][0]["running"] == 0


@pytest.mark.parametrize("name", ["UP", "a%00b", "-x", "x" * 64, "%ff"])
async def test_a_queue_of_an_impossible_name_is_refused(site: TaskSite, name: str) -> None:
    for answer in (await site.ask("POST", f"/v1/queues/{name}/lease", json={}),
                   await site.ask("PATCH", f"/v1/queues/{name}", json={"paused": True})):  # fmt: skip
        assert_problem(answer, 422, "invalid-queue")


# --- Queues -------------------------------------------------------------------------------------------------------


async def test_a_queue_is_paused_and_limited_and_freed_again(site: TaskSite) -> None:
    await site.made()
    path = "/v1/queues/default"
    changed = await site.ask("PATCH", path, json={"paused": True, "concurrency": 1, "rate_limit": 2.5})
    assert changed.status_code == 200, changed.text
    queue = changed.json()
    assert (queue["paused"], queue["concurrency"], queue["rate_limit"]) == (True, 1, 2.5)
    assert (await site.ask("POST", f"{path}/lease")).json() == {"tasks": []}
    free = (await site.ask("PATCH", path, json={"paused": False, "concurrency": None, "rate_limit": None})).json()
    assert free.keys().isdisjoint({"concurrency", "rate_limit"})
    (told,) = (await site.ask("GET", "/v1/queues")).json()["queues"]
    assert (told["name"], told["depth"], told["running"], told["scheduled"]) == ("default", 1, 0, 0)
    assert told["oldest_seconds"] >= 0
    assert len((await site.ask("POST", f"{path}/lease")).json()["tasks"]) == 1


@pytest.mark.parametrize(
    "body",
    [{"paused": None}, {"paused": "yes"}, {"concurrency": 0}, {"concurrency": 1.5}, {"concurrency": 10**30},
     {"rate_limit": 0}, {"rate_limit": "1"}, {"rate_limit": 1e9}, {"name": "x"}, {"rate_limit": True}],
)  # fmt: skip
async def test_a_bad_setting_of_a_queue_is_422(site: TaskSite, body: Any) -> None:
    answer = await site.ask("PATCH", "/v1/queues/default", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


async def test_who_manages_no_tasks_sets_no_queue(site: TaskSite) -> None:
    assert_problem(await site.ask("PATCH", "/v1/queues/default", key="user", json={"paused": True}), 403, "forbidden")


# --- Schedules ----------------------------------------------------------------------------------------------------

ADD = {"type": "add", "args": {"a": 1, "b": 2}}
NIGHTLY = {"name": "nightly", "cron": "30 3 * * *", "timezone": "Europe/Berlin", "task": ADD}


async def test_a_schedule_is_made_looked_at_changed_run_and_deleted(site: TaskSite) -> None:
    made = await site.ask("POST", "/v1/schedules", json=NIGHTLY)
    assert made.status_code == 201, made.text
    schedule = made.json()
    assert NIGHTLY.items() <= schedule.items()
    assert (schedule["jitter"], schedule["catch_up"], schedule["enabled"]) == (0, "last", True)
    path = f"/v1/schedules/{schedule['id']}"
    seen = (await site.ask("GET", path)).json()
    assert seen["next"][0] == schedule["next_at"]
    assert sorted(seen["next"]) == seen["next"]
    assert len(seen["next"]) == 5
    assert (await site.ask("GET", "/v1/schedules")).json() == {"schedules": [schedule]}
    run = await site.ask("POST", f"{path}/run")
    assert (run.status_code, run.json()["type"], run.json()["status"]) == (202, "add", "queued")
    off = await site.ask("PATCH", path, json={"enabled": False, "jitter": "30s", "catch_up": "all"})
    assert "next_at" not in off.json()
    assert (off.json()["jitter"], off.json()["catch_up"]) == (30, "all")
    assert (await site.ask("GET", path)).json()["next"] == []
    assert (await site.ask("DELETE", path)).status_code == 204
    assert_problem(await site.ask("GET", path), 404, "unknown-schedule")


async def test_the_task_of_a_schedule_keeps_the_clients_json(site: TaskSite) -> None:
    task = b'{"type": "t", "args": {"n": %s}}' % DIGITS
    body = b'{"name": "n", "cron": "0 0 * * *", "task": ' + task + b"}"
    made = await site.ask("POST", "/v1/schedules", content=body, headers=JSON)
    assert made.status_code == 201, made.text[:300]
    assert b'"task":' + task in made.content
    id_ = made.content.split(b'"id":"')[1][:36].decode()  # no JSON parser of Python's reads such a number
    run = await site.ask("POST", f"/v1/schedules/{id_}/run")
    assert b'"args":{"n": %s}' % DIGITS in run.content


async def test_two_schedules_of_one_owner_have_two_names(site: TaskSite) -> None:
    assert (await site.ask("POST", "/v1/schedules", json=NIGHTLY)).status_code == 201
    assert (await site.ask("POST", "/v1/schedules", json=NIGHTLY)).status_code == 409
    assert (await site.ask("POST", "/v1/schedules", json=NIGHTLY, key="user")).status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [({"name": ""}, "name"), ({"name": "a\nb"}, "name"), ({"name": "x" * 101}, "name"), ({"cron": "* * * *"}, "cron"),
     ({"cron": "61 * * * *"}, "cron"), ({"cron": "* " * 500}, "cron"), ({"timezone": "Mars/Olympus"}, "timezone"),
     ({"timezone": "../../etc/passwd"}, "timezone"), ({"jitter": -1}, "jitter"), ({"jitter": "2d"}, "jitter"),
     ({"catch_up": "some"}, "catch_up"), ({"enabled": "yes"}, "enabled"), ({"owner": "me"}, "owner"),
     ({"task": 5}, "task"),
     ({"task": {"type": "add", "args": {"b": 1}}}, "task.args.a"), ({"task": {"type": "t", "delay": 5}}, "task"),
     ({"task": {"type": "t", "x": 1}}, "task.x"), ({"task": {}}, "task")],
)  # fmt: skip
async def test_a_bad_schedule_is_422_and_so_is_a_bad_change(site: TaskSite, change: dict[str, Any], field: str) -> None:
    made = (await site.ask("POST", "/v1/schedules", json=NIGHTLY | {"name": "good"})).json()
    for answer in (await site.ask("POST", "/v1/schedules", json=NIGHTLY | change),
                   await site.ask("PATCH", f"/v1/schedules/{made['id']}", json=change)):  # fmt: skip
        assert answer.status_code == 422, answer.text
        assert field in [item["field"] for item in answer.json()["errors"]], answer.text
    assert (await site.ask("GET", "/v1/schedules")).json() == {"schedules": [made]}


@pytest.mark.parametrize(("method", "end", "body"), [("GET", "", None), ("PATCH", "", {}), ("DELETE", "", None),
("POST", "/run", None)])  # fmt: skip
async def test_another_owners_schedule_is_not_there_with_any_verb(
    site: TaskSite, method: str, end: str, body: Any
) -> None:
    made = (await site.ask("POST", "/v1/schedules", json=NIGHTLY, key="user")).json()
    sent = {} if body is None else {"json": body}
    for name in (made["id"], "01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e", "nonsense"):
        assert_problem(await site.ask(method, f"/v1/schedules/{name}{end}", key="other", **sent), 404,
        "unknown-schedule")
    assert (await site.ask("GET", "/v1/schedules", key="other")).json() == {"schedules": []}
    assert (await site.ask("GET", f"/v1/schedules/{made['id']}", key="user")).status_code == 200
