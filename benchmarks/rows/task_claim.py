"""What a claim and the ends of what it brought cost while 10 tasks wait and while millions do: CPU time of this process
and of the sessions of the server, in turns on two tables. The adapters alone; waiting for the disk is no part of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median

from benchmarks.context import Bench
from benchmarks.figure import Figure, TimesAtMost
from benchmarks.postgres import Postgres
from benchmarks.process import on_core
from benchmarks.waiting_tasks import OWNER, TYPE, fill_postgres, fill_sqlite
from headrace.adapters.postgres.tasks import PostgresTasks
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.adapters.system.clock import SystemClock
from headrace.kit.ids import uuid7
from headrace.model.task import Ending, NewTask, Outcome, Wanted
from headrace.ports.tasks import Tasks

ROW = "claim"
_FEW = 10
_TURNS = 300
_WARM = 30
_WANTED = Wanted("bench", _FEW, 60.0, types=frozenset((TYPE,)))
_SESSIONS = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"

_clock = SystemClock()


class Sessions:
    """Of a server on a database. Their CPU time is the scheduler's: the usual clock of processes ticks in steps of
    10 ms."""

    def __init__(self, postgres: Postgres, url: str) -> None:
        self._postgres = postgres
        self._name = url.rsplit("/", 1)[1]
        self._files: list[Path] = []

    def look(self) -> None:
        """Which there are now."""
        found = self._postgres.sql(self._postgres.url, _SESSIONS, (self._name,))
        self._files = [Path(f"/proc/{pid}/schedstat") for (pid,) in found]

    def cpu_nanos(self) -> int:
        return sum(int(file.read_text().split()[0]) for file in self._files)


class NoSessions:
    """Of a table in this process."""

    def look(self) -> None:
        pass

    def cpu_nanos(self) -> int:
        return 0


Table = tuple[Tasks, Sessions | NoSessions]


def measure(bench: Bench, postgres: Postgres | None, profiles: tuple[str, ...]) -> list[Figure]:
    figures: list[Figure] = []
    if "embedded" in profiles:
        with on_core(bench.cores.server):
            figures += _figures(bench, "embedded", asyncio.run(_embedded(bench)))
    if postgres is not None:
        with on_core(bench.cores.server):
            figures += _figures(bench, "PostgreSQL", asyncio.run(_on_postgres(bench, postgres)))
    return figures


async def _embedded(bench: Bench) -> list[list[float]]:
    async with AsyncExitStack() as stack:
        tables: list[Table] = []
        for count in (_FEW, bench.scale.waiting):
            file = bench.directory / f"claim-{count}.db"
            await (await SqliteTasks.open(file)).close()
            fill_sqlite(file, count, _clock.now())
            bench.tell(f"claim, embedded: {count:,} tasks wait")
            tasks = await SqliteTasks.open(file)
            stack.push_async_callback(tasks.close)
            tables.append((tasks, NoSessions()))
        return await _turns(tables)


async def _on_postgres(bench: Bench, postgres: Postgres) -> list[list[float]]:
    async with AsyncExitStack() as stack:
        tables: list[Table] = []
        for count in (_FEW, bench.scale.waiting):
            url = postgres.create_database()
            stack.callback(postgres.drop_database, url)
            tasks = await stack.enter_async_context(_open(url))
            fill_postgres(postgres, url, count, _clock.now())
            bench.tell(f"claim, PostgreSQL: {count:,} tasks wait")
            tables.append((tasks, Sessions(postgres, url)))
        postgres.checkpoint()
        return await _turns(tables)


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[Tasks]:
    tasks = await PostgresTasks.open(url, _clock)
    try:
        yield tasks
    finally:
        await tasks.close()


async def _turns(tables: list[Table]) -> list[list[float]]:
    """µs of each claim, for each table."""
    took: list[list[float]] = [[] for _ in tables]
    for number in range(_WARM + _TURNS):
        for place, (tasks, sessions) in enumerate(tables):
            micros = await _turn(tasks, sessions)
            if number >= _WARM:
                took[place].append(micros)
    return took


async def _turn(tasks: Tasks, sessions: Sessions | NoSessions) -> float:
    """As many tasks wait afterwards as before."""
    sessions.look()
    before = sessions.cpu_nanos() + time.process_time_ns()
    claimed = await tasks.claim(_WANTED, _clock.now())
    outcomes = [Outcome(task.id, task.lease, Ending.SUCCEEDED, b"15") for task in claimed]
    ended = await tasks.finish(outcomes, _clock.now())
    took = (sessions.cpu_nanos() + time.process_time_ns() - before) / 1e3
    if len(claimed) != _FEW or None in ended:
        raise RuntimeError(f"{len(claimed)} of {_FEW} were claimed, and {ended.count(None)} of those did not end")
    now = _clock.now()
    await tasks.add([NewTask(uuid7(now), TYPE, OWNER, now) for _ in range(_FEW)], now)
    return took


def _figures(bench: Bench, profile: str, took: list[list[float]]) -> list[Figure]:
    few, many = (median(one) for one in took)
    bench.tell(f"claim, {profile}: {few:,.0f} µs with few, {many:,.0f} µs with many")
    return [
        Figure(
            ROW, f"claim and end of 10 tasks, {bench.scale.waiting:,} waiting, {profile}", many, "µs of CPU",
            f"{_FEW} waiting", few, TimesAtMost(1.25),
        )
    ]  # fmt: skip
