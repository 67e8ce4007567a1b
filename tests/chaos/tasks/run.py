"""A run with tasks: faults while they are submitted and run, then everything is let come to its end, and is checked."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.chaos.http import Connection
from tests.chaos.ledger import Event, Ledger, read_ledger
from tests.chaos.outages import (
    KillAll,
    KillDatabase,
    KillProcess,
    LoseAnswers,
    Outage,
    ResetConnections,
)
from tests.chaos.run import Report, get, start
from tests.chaos.site import RECOVERY_SECONDS, Site
from tests.chaos.tasks.check import Evidence, task_violations
from tests.chaos.tasks.faults import Kill, choose
from tests.chaos.tasks.handlers import MODULE
from tests.chaos.tasks.outside import VARIABLE, read_effects
from tests.chaos.tasks.traffic import TaskTraffic
from tests.support.postgres import Cluster
from tests.support.server import Server

POSTGRES_POINTS = ("tasks.add", "tasks.claim", "tasks.finish")
_ENDED_SECONDS = 90
"""For what waits when nothing is done any more; a lease of a process that is gone is a part of it."""


def environment(folder: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of servers and workers whose handlers have their effects in `folder`."""
    return {
        "HEADRACE_TASK_MODULES": MODULE,
        "HEADRACE_TASK_PROCESSES": "2",
        VARIABLE: str(folder / "outside"),
        **(env or {}),
    }


async def run_tasks(
    folder: Path,
    *,
    tasks: int,
    cycles: int,
    seed: int,
    module: str = "headrace",
    env: Mapping[str, str] | None = None,
    fault: Callable[[random.Random], Kill] = choose,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """`cycles` faults on one server in `folder`, and `tasks` tasks at least."""
    chance = random.Random(seed)
    server = Server(folder / "data", module=module, env=environment(folder, env))
    ledger = Ledger(folder / "ledger.jsonl")
    traffic: TaskTraffic | None = None
    try:
        for cycle in range(cycles):
            struck = fault(chance)
            ledger.fault(str(struck))
            if not _runs(server) or struck.environment:
                await asyncio.to_thread(server.close)
                await start(server, env=struck.environment)
            if traffic is None:
                traffic = TaskTraffic([server.port], server.key, ledger, seed)
                traffic.start()
            await struck.strike(server, traffic)
            say(f"cycle {cycle + 1}: {struck}; {traffic.acknowledged} tasks acknowledged so far")
        if not _runs(server):
            await start(server)
        assert traffic is not None
        await _enough(traffic, tasks)
        return await conclude_tasks(folder, server, traffic, ledger, seed)
    finally:
        server.close()
        ledger.close()


async def run_tasks_site(
    folder: Path,
    *,
    tasks: int,
    cycles: int,
    seed: int,
    module: str = "tests.chaos.planted",
    env: Mapping[str, str] | None = None,
    fault: Callable[[random.Random], Outage],
    say: Callable[[str], None] = lambda _: None,
    cluster: Cluster | None = None,
    workers: int = 2,
) -> Report:
    """The same on PostgreSQL, with one `serve` and `headrace work` beside it: all of them run tasks."""
    chance = random.Random(seed)
    ledger = Ledger(folder / "ledger.jsonl")
    env = environment(folder, {"HEADRACE_PLANT": "short-leases", "HEADRACE_TASK_PROCESSES": "1", **(env or {})})
    try:
        async with Site(folder, servers=1, workers=workers, module=module, env=env, cluster=cluster) as site:
            traffic = TaskTraffic(site.ports, site.key, ledger, seed)
            traffic.start()
            for cycle in range(cycles):
                struck = fault(chance)
                ledger.fault(str(struck))
                await struck.strike(site, traffic)
                took = await site.recover(traffic)
                say(f"cycle {cycle + 1}: {struck}; well after {took:.1f} s; {traffic.acknowledged} so far")
            await _enough(traffic, tasks)
            return await conclude_tasks(folder, site.servers[0], traffic, ledger, seed)
    finally:
        ledger.close()


def choose_task_outage(chance: random.Random) -> Outage:
    """To processes, to PostgreSQL, and to all at once."""
    number, point = chance.randrange(8), chance.choice(POSTGRES_POINTS)
    when = chance.choice(("before_commit", "after_commit"))
    return chance.choice((
        KillProcess(number, seconds=chance.uniform(0, 0.6)),
        KillProcess(number, point=f"{point}.{when}:{chance.randint(1, 60)}"),
        KillDatabase("SIGKILL", chance.uniform(0.2, 1.5)),
        KillDatabase("immediate stop", chance.uniform(0.2, 1.5)),
        KillAll(chance.uniform(0, 0.6)),
        ResetConnections(chance.randint(1, 5)),
        LoseAnswers("any", chance.randint(1, 6)),
    ))  # fmt: skip


async def conclude_tasks(
    folder: Path,
    server: Server,
    traffic: TaskTraffic,
    ledger: Ledger,
    seed: int,
    *,
    leases_may_run_out: bool = False,
) -> Report:
    """Send the rest, wait until every task has ended, read everything back, and check."""
    while not traffic.is_through:  # noqa: ASYNC110 - a number
        await asyncio.sleep(0.02)
    await traffic.finish(RECOVERY_SECONDS)
    connection = Connection(server.port, server.key)
    try:
        late = await all_ended(connection)
        found = await listed(connection)
        successes = await successes_told(connection, sum(task["status"] == "succeeded" for task in found))
    finally:
        connection.close()
    history = await asyncio.to_thread(read_ledger, ledger.path)
    effects = read_effects(folder / "outside")
    evidence = Evidence(history, found, effects, successes, leases_may_run_out=leases_may_run_out)
    return Report(seed, history, [*traffic.broken, *late, *task_violations(evidence)])


async def all_ended(connection: Connection, seconds: float = _ENDED_SECONDS) -> list[str]:
    """Wait until nothing waits or runs; what is wrong if that does not come about."""
    deadline = time.monotonic() + seconds
    while left := await _unfinished(connection):
        if time.monotonic() > deadline:
            return [f"after {seconds:.0f} s there are still {left} tasks unfinished"]
        await asyncio.sleep(0.1)
    return []


async def _unfinished(connection: Connection) -> int:
    target = "/v1/tasks?limit=1000&status=scheduled&status=queued&status=running"
    page = (await get(connection, target)).json()["tasks"]
    return sum(task["type"].startswith("effect") for task in page)


async def listed(connection: Connection, filters: str = "&type=effect&type=effect.async") -> list[Event]:
    """All tasks of these filters."""
    tasks: list[Event] = []
    cursor = ""
    while True:
        page = (await get(connection, f"/v1/tasks?limit=1000{filters}{cursor}")).json()
        tasks += page["tasks"]
        if "next_cursor" not in page:
            return tasks
        cursor = f"&cursor={page['next_cursor']}"


async def successes_told(connection: Connection, wanted: int) -> list[str]:
    """The ids of tasks in the journal's events `task.succeeded`, once there are as many as wanted, or after a while."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while True:
        answer = await get(connection, "/v1/buckets/_tasks/export?format=ndjson&action=task.succeeded")
        told = [json.loads(line)["attributes"] for line in answer.body.splitlines()]
        ids = [one["task_id"] for one in told if one["type"].startswith("effect")]
        if len(ids) >= wanted or time.monotonic() > deadline:
            return ids
        await asyncio.sleep(0.2)


async def _enough(traffic: TaskTraffic, tasks: int) -> None:
    while traffic.made < tasks:  # noqa: ASYNC110 - a number
        await asyncio.sleep(0.02)
    traffic.end()


def _runs(server: Server) -> bool:
    return server.process is not None and server.process.poll() is None
