"""Leases that are lost while their holder goes on: another has the task, and the old one can change nothing more."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.chaos.http import Connection
from tests.chaos.ledger import Event, Ledger
from tests.chaos.run import start
from tests.chaos.site import Site
from tests.chaos.tasks.outside import VARIABLE, Effect, Outside, Refused, Run, read_effects
from tests.chaos.tasks.run import conclude_tasks, environment
from tests.chaos.tasks.test_kills import clean, new_seed
from tests.chaos.tasks.traffic import TaskTraffic
from tests.support.postgres import Cluster
from tests.support.server import Server

pytestmark = pytest.mark.chaos

_JSON = {"Content_Type": "application/json"}


class Worker:
    """A worker over HTTP that does what it is told, and no more."""

    def __init__(self, server: Server, outside: Outside) -> None:
        self._connection = Connection(server.port, server.key)
        self._outside = outside
        self.task: Event = {}
        self.run: Run

    async def lease(self, seconds: int = 2) -> None:
        """One task: it has begun."""
        asked = b'{"max": 1, "lease_seconds": %d, "wait": "10s"}' % seconds
        answer = await self._connection.ask("POST", "/v1/queues/default/lease", asked, **_JSON)
        assert answer.status == 200, answer.body
        (self.task,) = answer.json()["tasks"]
        self.run = self._outside.run(self.task["id"], int(self.task["lease"]), self.task["attempt"])

    async def say(self, what: str, body: str = "") -> int:
        """`heartbeat`, `complete` or `fail`, under its lease; the status of the answer."""
        said = f'{{"lease": "{self.task["lease"]}"{body}}}'.encode()
        return (await self._connection.ask("POST", f"/v1/tasks/{self.task['id']}/{what}", said, **_JSON)).status

    async def complete(self) -> int:
        return await self.say("complete", f', "result": {{"run": "{self.run.name}"}}')


@contextmanager
def one_task(folder: Path, plant: str = "") -> Iterator[tuple[Server, Ledger, Outside]]:
    """A server without handlers."""
    module, env = ("tests.chaos.planted", {"HEADRACE_PLANT": plant}) if plant else ("headrace", {})
    server = Server(folder / "data", module=module, env=env)
    ledger = Ledger(folder / "ledger.jsonl")
    try:
        yield server.start(), ledger, Outside(folder / "outside")
    finally:
        server.close()
        ledger.close()


async def lose_a_lease(folder: Path, plant: str = "") -> tuple[list[int], list[str]]:
    """What the one who lost it is told: at a heartbeat, a completion and a failure; and what the checker finds."""
    with one_task(folder, plant) as (server, ledger, outside):
        traffic = TaskTraffic([server.port], server.key, ledger, new_seed(), most=1, clients=1)
        traffic.start()
        old, new = Worker(server, outside), Worker(server, outside)
        await old.lease()
        await new.lease()  # which takes 2 s: the old one is silent
        assert new.task["id"] == old.task["id"]
        told = [await old.say("heartbeat"), await old.complete(), await old.say("fail", ', "error": "no"')]
        new.run.write("end")
        if await new.complete() != 200:
            told.append(0)
        report = await conclude_tasks(folder, server, traffic, ledger, 0, leases_may_run_out=True)
        print(report)
        return told, report.violations


async def test_who_lost_a_lease_is_told_and_changes_nothing(tmp_path: Path) -> None:
    assert await lose_a_lease(tmp_path) == ([409, 409, 409], [])


async def test_the_checker_finds_a_completion_without_a_lease(tmp_path: Path) -> None:
    told, violations = await lose_a_lease(tmp_path, "complete-without-lease-check")
    assert told != [409, 409, 409]
    assert violations


async def test_the_checker_finds_a_sweep_that_ends_live_leases(tmp_path: Path) -> None:
    with one_task(tmp_path, "sweep-ends-live-leases") as (server, ledger, outside):
        traffic = TaskTraffic([server.port], server.key, ledger, new_seed(), most=1, clients=1)
        traffic.start()
        old, new = Worker(server, outside), Worker(server, outside)
        await old.lease(60)
        await new.lease(60)
        with pytest.raises(Refused):
            old.run.write("end")
        new.run.write("end")
        await new.complete()
        assert (await conclude_tasks(tmp_path, server, traffic, ledger, 0)).violations


@contextmanager
def workers(server: Server, folder: Path, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The example's, as programs of their own."""
    env = {
        **os.environ, "HEADRACE_URL": server.url, "HEADRACE_KEY": server.key, VARIABLE: str(folder / "outside"),
    }  # fmt: skip
    command = [sys.executable, "-m", "tests.chaos.tasks.leasing_worker"]
    with (folder / "workers.log").open("wb") as log:
        running = [subprocess.Popen(command, env=env, stderr=log, stdin=subprocess.DEVNULL) for _ in range(count)]
    try:
        yield running
    finally:
        for worker in running:
            worker.kill()
            worker.wait()


async def test_workers_over_http_are_killed_and_stopped_in_mid_task_and_others_do_it(tmp_path: Path) -> None:
    with one_task(tmp_path) as (server, ledger, _):
        traffic = TaskTraffic([server.port], server.key, ledger, new_seed(), most=40, seconds=0.8, clients=2)
        traffic.start()
        with workers(server, tmp_path, 4) as running:
            await until(lambda: len(under_way(tmp_path, running[0].pid)) > 0)
            running[0].kill()
            await until(lambda: len(under_way(tmp_path, running[1].pid)) > 0)
            running[1].send_signal(signal.SIGSTOP)
            held = under_way(tmp_path, running[1].pid)
            await asyncio.to_thread(server.kill)  # a worker that works must survive that the server is away
            await start(server)
            await until(lambda: all(others_began(tmp_path, one) for one in held), 60)
            running[1].send_signal(signal.SIGCONT)
            report = await conclude_tasks(tmp_path, server, traffic, ledger, 0, leases_may_run_out=True)
            assert clean(report)
            assert [worker.poll() for worker in running[1:]] == [None] * 3


async def test_a_worker_that_was_stopped_for_longer_than_its_lease_has_lost_what_it_had(tmp_path: Path) -> None:
    """With the leases as they are: 15 s."""
    cluster = Cluster(safe=True)
    env = environment(tmp_path, {"HEADRACE_TASK_PROCESSES": "1"})
    ledger = Ledger(tmp_path / "ledger.jsonl")
    async with Site(tmp_path, servers=1, workers=1, env=env, cluster=cluster.create().start()) as site:
        worker = site.workers[0]
        traffic = TaskTraffic(site.ports, site.key, ledger, new_seed(), most=150, seconds=2.0)
        traffic.start()
        children = [process.pid for process in worker.family()[1:]]
        await until(lambda: any(under_way(tmp_path, child) for child in children))
        stop(worker, signal.SIGSTOP)
        try:
            held = [effect for child in children for effect in under_way(tmp_path, child)]
            await until(lambda: all(others_began(tmp_path, one) for one in held), 40)
        finally:
            stop(worker, signal.SIGCONT)
        report = await conclude_tasks(tmp_path, site.servers[0], traffic, ledger, 0, leases_may_run_out=True)
        assert clean(report)
        assert any(effect.refused for effect in read_effects(tmp_path / "outside"))
    ledger.close()
    cluster.close()


async def test_a_server_that_was_stopped_for_longer_than_its_lease_begins_nothing_twice_at_once(
    tmp_path: Path,
) -> None:
    env = environment(tmp_path, {"HEADRACE_PLANT": "short-leases"})
    server = Server(tmp_path / "data", module="tests.chaos.planted", env=env)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    try:
        await start(server)
        traffic = TaskTraffic([server.port], server.key, ledger, new_seed(), most=120, seconds=1.5)
        traffic.start()
        children = [process.pid for process in server.family()[1:]]
        await until(lambda: any(under_way(tmp_path, child) for child in children))
        stop(server, signal.SIGSTOP)
        await asyncio.sleep(7)
        stop(server, signal.SIGCONT)
        assert clean(await conclude_tasks(tmp_path, server, traffic, ledger, 0))
    finally:
        server.close()
        ledger.close()


def stop(server: Server, how: signal.Signals) -> None:
    """It and its children."""
    for process in server.family():
        with suppress(psutil.NoSuchProcess):
            process.send_signal(how)


def under_way(folder: Path, pid: int) -> list[Effect]:
    """The beginnings of runs in this process that have not come to their end."""
    mine = [effect for effect in read_effects(folder / "outside") if effect.pid == pid]
    ended = {effect.run for effect in mine if effect.what == "end" or effect.refused}
    return [effect for effect in mine if effect.what == "begin" and effect.run not in ended]


def others_began(folder: Path, one: Effect) -> bool:
    return any(
        effect.task == one.task and effect.lease > one.lease for effect in read_effects(folder / "outside")
    )


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "waited in vain"
        await asyncio.sleep(0.05)
