"""Tasks that kill the process in which they run, and servers that stop while tasks run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.chaos.ledger import Event
from tests.chaos.tasks.outside import read_effects
from tests.chaos.tasks.run import environment
from tests.support.server import Server
from tests.support.waiting import becomes

pytestmark = pytest.mark.chaos

_HOW = ("exit", "SIGSEGV", "SIGKILL")
_NEIGHBOURS = 300
_NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path / "data", env=environment(tmp_path))
    try:
        yield running.start()
    finally:
        running.close()


def submit(client: httpx2.Client, tasks: list[Event]) -> list[str]:
    body = "\n".join(json.dumps(task) for task in tasks)
    answer = client.post("/v1/tasks/batch", content=body, headers=_NDJSON)
    assert answer.status_code == 202, answer.text
    ids: list[str] = answer.json()["ids"]
    return ids


def effect(token: str, seconds: float, **fields: object) -> Event:
    return {"type": "effect", "args": {"token": token, "seconds": seconds}, **fields}


def task(client: httpx2.Client, id: str) -> Event:
    found: Event = client.get(f"/v1/tasks/{id}").json()
    return found


def test_tasks_that_kill_their_process_are_dead_and_cost_no_other_an_attempt(server: Server, tmp_path: Path) -> None:
    tasks = [effect(f"t{number}", 0.02) for number in range(_NEIGHBOURS)]
    for number, how in enumerate(_HOW):
        tasks.insert(_NEIGHBOURS * (number + 1) // 4, {"type": "poison", "args": {"token": how, "how": how}})
    assert server.process is not None
    with server.client() as client:
        submit(client, tasks)
        becomes(lambda: not unfinished(client), within=60)
        found = client.get("/v1/tasks?type=effect&limit=1000").json()["tasks"]
        assert {(one["status"], one["attempt"]) for one in found} == {("succeeded", 1)}
        assert len(found) == _NEIGHBOURS
        poison = client.get("/v1/tasks?type=poison").json()["tasks"]
        assert [(one["status"], one["attempt"]) for one in poison] == [("dead", 3)] * len(_HOW)
    assert server.process.poll() is None
    ids = {one["id"] for one in poison}
    begun = [effect for effect in read_effects(tmp_path / "outside") if effect.task in ids]
    assert len({(effect.task, effect.attempt) for effect in begun}) == 3 * len(_HOW)


def unfinished(client: httpx2.Client) -> int:
    page = client.get("/v1/tasks?status=scheduled&status=queued&status=running&limit=1000").json()
    return sum(one["type"] in {"effect", "poison"} for one in page["tasks"])


def test_a_server_that_stops_lets_short_tasks_end_and_gives_long_ones_back(server: Server) -> None:
    with server.client() as client:
        short, long = submit(client, [effect("short", 1.5), effect("long", 12)])
        becomes(lambda: {task(client, one)["status"] for one in (short, long)} == {"running"}, within=30)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10
    server.start(env={"HEADRACE_TASKS": "off"})
    with server.client() as client:
        ended, given_back = task(client, short), task(client, long)
    assert (ended["status"], ended["attempt"]) == ("succeeded", 1)
    assert (given_back["status"], given_back["attempt"]) == ("queued", 0)
