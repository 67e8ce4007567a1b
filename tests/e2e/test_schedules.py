"""Schedules on a running server. That each firing makes one task is a matter of other suites; here it fires once."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.e2e.conftest import assert_problem
from tests.support.people import unused_name
from tests.support.waiting import becomes

FIRES_WITHIN = 75  # seconds: cron has no finer mark than a minute


def schedule(client: httpx2.Client, **more: Any) -> dict[str, Any]:
    body = {"name": unused_name(), "cron": "30 3 * * *", "task": {"type": unused_name()}, **more}
    answer = client.post("/v1/schedules", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_a_schedule_is_made_changed_run_and_deleted(client: httpx2.Client) -> None:
    made = schedule(client, timezone="Europe/Berlin", jitter="10s", catch_up="none")
    path = f"/v1/schedules/{made['id']}"
    seen = client.get(path).json()
    assert seen["next"][0] == made["next_at"]
    assert seen["next"] == sorted(set(seen["next"]))
    run = client.post(f"{path}/run")
    assert (run.status_code, run.json()["type"]) == (202, made["task"]["type"])
    changed = client.patch(path, json={"cron": "0 12 * * 1", "enabled": False}).json()
    assert (changed["cron"], changed["enabled"]) == ("0 12 * * 1", False)
    assert client.delete(path).status_code == 204
    assert_problem(client.get(path), 404, "unknown-schedule")
    assert client.get(f"/v1/tasks/{run.json()['id']}").status_code == 200


def test_a_name_is_taken_once_by_each_owner(client: httpx2.Client) -> None:
    made = schedule(client)
    again = client.post("/v1/schedules", json={"name": made["name"], "cron": "* * * * *", "task": {"type": "t"}})
    assert_problem(again, 409)
    other = schedule(client)
    assert_problem(client.patch(f"/v1/schedules/{other['id']}", json={"name": made["name"]}), 409)


def test_a_schedule_fires_by_itself(client: httpx2.Client) -> None:
    made = schedule(client, cron="* * * * *")
    kind = made["task"]["type"]
    becomes(lambda: bool(client.get("/v1/tasks", params={"type": kind}).json()["tasks"]), within=FIRES_WITHIN)
    client.patch(f"/v1/schedules/{made['id']}", json={"enabled": False})
    tasks = client.get("/v1/tasks", params={"type": kind}).json()["tasks"]
    assert len(tasks) <= 2
    told = client.get(f"/v1/schedules/{made['id']}").json()
    assert told["last_task"] == tasks[0]["id"]


@pytest.mark.parametrize("cron", ["@daily ", "* * * * * *", "0 0 32 * *", "a b c d e", ""])
def test_what_is_no_cron_expression_is_422(client: httpx2.Client, cron: str) -> None:
    answer = client.post("/v1/schedules", json={"name": "n", "cron": cron, "task": {"type": "t"}})
    assert [item["field"] for item in assert_problem(answer, 422, "invalid-schedule")["errors"]] == ["cron"]
