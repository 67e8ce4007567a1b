"""A run: start, load, fault, start again, …, and at last everything is read back and checked."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.check import violations
from tests.chaos.faults import Fault, choose
from tests.chaos.http import Answer, Connection
from tests.chaos.ledger import Event, History, Ledger, read_ledger
from tests.chaos.outages import Outage, choose_outage
from tests.chaos.site import RECOVERY_SECONDS, Site
from tests.chaos.traffic import Traffic
from tests.support.postgres import Cluster
from tests.support.server import Server

_TOKEN = re.compile(r'"token": ?"(t\d+)"')


@dataclass(slots=True)
class Report:
    """What came of a run; `violations` is empty when the invariant held."""

    seed: int
    history: History
    violations: list[str]
    recoveries: list[float] = field(default_factory=list)
    """Seconds from each start to an answer to a request; on PostgreSQL, from the end of each fault until each server
    stores again."""

    def __str__(self) -> str:
        sent, acknowledged = len(self.history.sent), self.history.acknowledged
        slowest = max(self.recoveries, default=0.0)
        head = (
            f"seed {self.seed}: {len(self.history.faults)} faults, {sent} events sent, {acknowledged} acknowledged, "
            f"answers {self.history.statuses}, slowest recovery {slowest:.1f} s"
        )
        return "\n".join([head, *(f"  VIOLATION {one}" for one in self.violations)])


async def run(
    folder: Path,
    *,
    cycles: int,
    seed: int,
    module: str = "headrace",
    env: Mapping[str, str] | None = None,
    fault: Callable[[random.Random], Fault] = choose,
    say: Callable[[str], None] = lambda _: None,
) -> Report:
    """`cycles` faults under load on a server in `folder`, run with `-m module` and `env`."""
    chance = random.Random(seed)
    server = Server(folder / "data", module=module, env=env)
    ledger = Ledger(folder / "ledger.jsonl")
    traffic: Traffic | None = None
    recoveries: list[float] = []
    try:
        for cycle in range(cycles):
            struck = fault(chance)
            ledger.fault(str(struck))
            recoveries.append(await start(server, env=struck.environment))
            if traffic is None:
                traffic = Traffic([server.port], server.key, ledger, seed)
                traffic.start()
            await struck.strike(server, traffic)
            say(f"cycle {cycle + 1}: {struck}; {traffic.acknowledged} events acknowledged so far")
        recoveries.append(await start(server))
        assert traffic is not None
        return await conclude(server, traffic, ledger, seed, recoveries)
    finally:
        server.close()
        ledger.close()


async def run_site(
    folder: Path,
    *,
    cycles: int,
    seed: int,
    module: str = "headrace",
    env: Mapping[str, str] | None = None,
    fault: Callable[[random.Random], Outage] = choose_outage,
    say: Callable[[str], None] = lambda _: None,
    cluster: Cluster | None = None,
    servers: int = 2,
    workers: int = 0,
    pause: float = 0.0,
) -> Report:
    """The same on the PostgreSQL profile: whatever a fault ended is started again, and stores within 30 s."""
    chance = random.Random(seed)
    ledger = Ledger(folder / "ledger.jsonl")
    recoveries: list[float] = []
    try:
        async with Site(
            folder, servers=servers, workers=workers, module=module, env=env, cluster=cluster
        ) as site:
            traffic = site.traffic(ledger, seed, pause=pause)
            for cycle in range(cycles):
                struck = fault(chance)
                ledger.fault(str(struck))
                await struck.strike(site, traffic)
                recoveries.append(await site.recover(traffic))
                say(f"cycle {cycle + 1}: {struck}; well after {recoveries[-1]:.1f} s; {traffic.acknowledged} so far")
            return await conclude(site.servers[0], traffic, ledger, seed, recoveries, others=site.servers[1:])
    finally:
        ledger.close()


async def start(server: Server, env: Mapping[str, str] | None = None) -> float:
    """Start it; after how many seconds it was ready. A failpoint may have killed it before: that is no error."""
    began = time.monotonic()
    server.start(env=env, wait=False)
    connection = Connection(server.port, "")
    while not await _ready(connection):
        assert server.process is not None
        if server.process.poll() is not None:
            if env:
                break
            raise AssertionError(f"the server ended by itself:\n{server.log.read_text()[-2000:]}")
        if time.monotonic() - began > 2 * RECOVERY_SECONDS:
            raise AssertionError(f"the server does not come up:\n{server.log.read_text()[-2000:]}")
        await asyncio.sleep(0.03)
    connection.close()
    return time.monotonic() - began


async def _ready(connection: Connection) -> bool:
    try:
        return (await connection.ask("GET", "/health/ready")).status == 200
    except OSError:
        return False


async def conclude(
    server: Server,
    traffic: Traffic,
    ledger: Ledger,
    seed: int,
    recoveries: list[float] | None = None,
    others: Sequence[Server] = (),
) -> Report:
    """Let clients and drain finish (the spools of `others`, too), read everything back, and check."""
    await traffic.finish(RECOVERY_SECONDS)
    connection = Connection(server.port, server.key)
    try:
        for one in (*others, server):
            await _drained(one, server.key)
        found = await _stored(connection)
        listed = await _listed(connection)
        dead = await _dead_tokens(connection)
    finally:
        connection.close()
    history = await asyncio.to_thread(read_ledger, ledger.path)
    broken = [*traffic.broken, *violations(history, found, dead)]
    if listed != sorted(str(event["id"]) for event in found):
        broken.append(f"the list has {len(listed)} events, the export {len(found)}")
    broken += [f"a recovery took {one:.1f} s" for one in recoveries or [] if one > RECOVERY_SECONDS]
    return Report(seed, history, broken, recoveries or [])


async def _drained(server: Server, key: str) -> None:
    connection = Connection(server.port, key)
    deadline = time.monotonic() + RECOVERY_SECONDS
    while (queue := (await get(connection, "/v1/status")).json()["queue"])["blocks"]:
        if time.monotonic() > deadline:
            raise AssertionError(f"the queue is not drained after {RECOVERY_SECONDS} s: {queue}")
        await asyncio.sleep(0.05)
    connection.close()


async def _stored(connection: Connection) -> list[Event]:
    answer = await get(connection, "/v1/buckets/default/export?format=ndjson")
    return [json.loads(line) for line in answer.body.splitlines()]


async def _listed(connection: Connection) -> list[str]:
    ids: list[str] = []
    cursor = ""
    while True:
        page = (await get(connection, f"/v1/buckets/default/events?limit=1000{cursor}")).json()
        ids += [event["id"] for event in page["events"]]
        if "next_cursor" not in page:
            return sorted(ids)
        cursor = f"&cursor={page['next_cursor']}"


async def _dead_tokens(connection: Connection) -> list[str]:
    tokens: list[str] = []
    cursor = ""
    while True:
        page = (await get(connection, f"/v1/dead-letters?limit=1000{cursor}")).json()
        tokens += [name for letter in page["dead_letters"] for name in _TOKEN.findall(letter["payload"])]
        if "next_cursor" not in page:
            return tokens
        cursor = f"&cursor={page['next_cursor']}"


async def get(connection: Connection, target: str) -> Answer:
    for _ in range(100):
        if (answer := await connection.ask("GET", target)).status == 200:
            return answer
        await asyncio.sleep(0.1)
    answer = await connection.ask("GET", target)
    raise AssertionError(f"{target} answers {answer.status}: {answer.body[:300]!r}")
