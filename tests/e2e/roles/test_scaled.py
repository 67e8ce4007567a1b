"""Servers and workers that share only a database."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import httpx2
import psutil
import pytest

from tests.e2e.conftest import assert_problem
from tests.e2e.roles.conftest import Start, every_id
from tests.support.load import Load, batches, reads, singles
from tests.support.nginx import Nginx
from tests.support.server import Server

SECONDS = 90
BEHIND = {
    "events": "/v1/buckets/default/events",
    "auth": "/.well-known/jwks.json",
    "users": "/v1/users",
    "console": "/sign-in",
    "operations": "/v1/status",
    "tasks": "/v1/tasks",
}
DOOR_PORTS = {"events": 8010, "auth": 8011, "users": 8012, "console": 8013, "operations": 8014, "tasks": 8015}


def wait_for(what: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)


def assert_all_there_once(server: Server, acknowledged: list[str]) -> None:
    with server.client() as client:
        wait_for(lambda: client.get("/v1/status").json()["queue"]["depth"] == 0)
        found = every_id(client)
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)


def test_each_door_in_a_process_of_its_own_and_one_is_killed(start: Start) -> None:
    doors = {door: start(door, arguments=("--doors", door)) for door in BEHIND}
    with (
        Nginx("headrace-doors.conf", {DOOR_PORTS[door]: server.port for door, server in doors.items()}) as nginx,
        httpx2.Client(base_url=nginx.url, headers={"Authorization": f"Bearer {doors['events'].key}"}) as client,
    ):
        assert client.post(BEHIND["events"], json={"message": "in"}, params={"ack": "stored"}).status_code == 201
        assert {door: client.get(path).status_code for door, path in BEHIND.items()} == dict.fromkeys(BEHIND, 200)
        doors["users"].kill()
        answers = {door: client.get(path) for door, path in BEHIND.items()}
        assert_problem(answers.pop("users"), 503, "unavailable")
        assert {answer.status_code for answer in answers.values()} == {200}
        assert client.post(BEHIND["events"], json={"message": "still"}).status_code == 202


def test_a_rolling_restart_of_two_servers_on_one_database_fails_no_request(start: Start) -> None:
    first, second = start("first"), start("second")
    with (
        Nginx("headrace.conf", {8000: first.port, 8001: second.port}) as nginx,
        Load(nginx.port, first.key, singles, batches, reads) as load,
    ):
        for server in (first, second):
            time.sleep(0.5)
            server.stop()
            server.start()
        time.sleep(0.5)
    assert set(load.answers) == {"singles 202", "batches 202", "reads 200"}
    assert_all_there_once(second, load.acknowledged)


def children(server: Server) -> list[psutil.Process]:
    assert server.process is not None
    return psutil.Process(server.process.pid).children()


@pytest.fixture
def two(start: Start) -> Server:
    server = start("two", arguments=("--processes", "2"))
    wait_for((server.data_dir / "server.json").exists)  # once all of them serve
    return server


def kill_one(server: Server) -> None:
    """And see it replaced."""
    victim = children(server)[0]
    victim.kill()
    wait_for(lambda: victim.pid not in (now := {child.pid for child in children(server)}) and len(now) == 2)


def test_a_child_that_is_killed_is_replaced_and_the_other_goes_on(two: Server) -> None:
    with Load(two.port, two.key, singles, batches, reads, reads) as load:
        time.sleep(1)
        kill_one(two)
        time.sleep(1)
    good = {"singles 202", "batches 202", "reads 200"}
    assert good <= set(load.answers)
    assert sum(count for answer, count in load.answers.items() if answer not in good) <= 4  # what it had in its hands
    assert_all_there_once(two, load.acknowledged)


def test_sighup_replaces_every_child_and_fails_no_request(two: Server) -> None:
    before = {child.pid for child in children(two)}
    with Load(two.port, two.key, singles, batches, reads) as load:
        assert two.process is not None
        two.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not before & (now := {child.pid for child in children(two)}) and len(now) == 2)
        time.sleep(0.5)
    assert set(load.answers) == {"singles 202", "batches 202", "reads 200"}
    assert_all_there_once(two, load.acknowledged)


def test_sigterm_ends_all_of_them(two: Server) -> None:
    family = children(two)
    assert two.stop() == 0
    assert not any(child.is_running() for child in family)
    assert not (two.data_dir / "server.json").exists()


def test_they_end_when_their_parent_is_killed(two: Server) -> None:
    family = children(two)
    two.kill()
    _, alive = psutil.wait_procs(family, timeout=15)
    assert not alive


def taken_in(server: Server) -> float:
    """What a scrape of whichever process says that all have answered with 202."""
    lines = httpx2.get(f"{server.url}/metrics", timeout=10).text.splitlines()
    posts = [line for line in lines if line.startswith("headrace_http_requests_total") and 'status="202"' in line]
    return sum(float(line.split()[-1]) for line in posts)


def test_one_scrape_says_what_all_have_counted_and_it_never_falls(two: Server) -> None:
    seen = [0.0]
    for turn in range(30):
        with two.client() as client:  # a new connection each time, so that both get some
            assert client.post("/v1/buckets/default/events", json={"message": "x"}).status_code == 202
        seen.append(taken_in(two))
        if turn == 15:
            time.sleep(3)  # it is written down every second
            kill_one(two)
    assert seen == sorted(seen)
    wait_for(lambda: taken_in(two) == 30)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_workers_store_what_a_server_only_takes_in(start: Start, end: str) -> None:
    server = start("server", env={"HEADRACE_DRAIN": "off"})
    workers = [start(f"worker-{number}", role="work", arguments=("--concurrency", "2")) for number in (1, 2)]
    with Load(server.port, server.key, singles, batches) as load:
        time.sleep(1)
        status = getattr(workers[0], end)()
        time.sleep(1)
    assert status == (0 if end == "stop" else -signal.SIGKILL)
    assert set(load.answers) == {"singles 202", "batches 202"}
    assert_all_there_once(server, load.acknowledged)
    workers[0].start()
    assert workers[0].stop() == 0
    assert "working" in workers[0].log.read_text()


def test_a_worker_answers_about_its_health_and_nothing_else(start: Start) -> None:
    worker = start("worker", role="work")
    with httpx2.Client(base_url=worker.url) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 200
        assert client.get("/metrics").status_code == 200
        assert_problem(client.get("/v1/buckets/default/events"), 404, "no-such-path")
