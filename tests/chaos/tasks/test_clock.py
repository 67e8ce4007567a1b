"""The time of day is set, by a day either way and more than once, while tasks run and schedules fire."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from headrace.kit.times import DAY, MINUTE, SECOND, from_datetime
from tests.chaos.http import Connection
from tests.chaos.ledger import Event, Ledger
from tests.chaos.run import get, start
from tests.chaos.site import Site
from tests.chaos.tasks.plants import CLOCK
from tests.chaos.tasks.run import all_ended, conclude_tasks, environment, listed
from tests.chaos.tasks.test_kills import clean, new_seed
from tests.chaos.tasks.traffic import TaskTraffic
from tests.support.postgres import Cluster
from tests.support.server import Server

pytestmark = pytest.mark.chaos

_JSON = {"Content_Type": "application/json"}
_EVERY_MINUTE = (
    b'{"name": "each minute", "cron": "* * * * *", "catch_up": "all", "jitter": 1,'
    b' "task": {"type": "effect", "args": {"token": "fired"}, "max_attempts": 100}}'
)


class WrongClock:
    """Of all processes that read its file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.ahead = 0
        self.move(0)

    def environment(self, plants: str = "") -> dict[str, str]:
        return {"HEADRACE_PLANT": f"clock-of-file{plants}", CLOCK: str(self._file)}

    def move(self, by: int) -> None:
        """By so many µs."""
        self.ahead += by
        new = self._file.with_suffix(".new")
        new.write_text(str(self.ahead))
        new.replace(self._file)


async def test_a_clock_that_is_set_by_a_day_loses_no_task_and_no_lease(tmp_path: Path) -> None:
    clock = WrongClock(tmp_path)
    env = environment(tmp_path, clock.environment())
    server = Server(tmp_path / "data", module="tests.chaos.planted", env=env)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    try:
        await start(server)
        traffic = TaskTraffic([server.port], server.key, ledger, new_seed(), most=250, seconds=2.0)
        traffic.start()
        for by in (DAY, -DAY, -DAY, DAY):
            await asyncio.sleep(2.5)  # two sweeps
            clock.move(by)
        assert clean(await conclude_tasks(tmp_path, server, traffic, ledger, 0))
    finally:
        server.close()
        ledger.close()


@asynccontextmanager
async def schedule(site: Site) -> AsyncIterator[Connection]:
    """One that fires each minute, all that was missed too."""
    connection = Connection(site.servers[0].port, site.key)
    answer = await connection.ask("POST", "/v1/schedules", _EVERY_MINUTE, **_JSON)
    assert answer.status == 201, answer.body
    yield connection
    connection.close()


async def fire_while_time_flies(folder: Path, plants: str = "", *, kills: int, moves: int) -> list[str]:
    """Three processes that race on PostgreSQL; what the checker finds of the firings."""
    cluster = Cluster(safe=True)
    clock = WrongClock(folder)
    env = environment(folder, {**clock.environment(plants), "HEADRACE_TASK_PROCESSES": "1"})
    chance = random.Random(seed := new_seed())
    print(f"seed {seed}")
    site = Site(
        folder, servers=1, workers=2, module="tests.chaos.planted", env=env, cluster=cluster.create().start()
    )
    try:
        async with site, schedule(site) as connection:
            for move in range(moves):
                clock.move(chance.randint(1, 3) * MINUTE)
                if move == moves // 2:
                    clock.move(-10 * MINUTE)  # back across firings that were
                if move < kills:
                    await asyncio.to_thread(chance.choice(site.workers).kill)
                    await site.up()
                await asyncio.sleep(0.4)
            clock.move(15 * MINUTE)  # past all that there was
            return await firings(connection)
    finally:
        cluster.close()


async def firings(connection: Connection) -> list[str]:
    """Once all that were due have become tasks and those have ended: what is wrong."""
    tasks: list[Event] = []
    deadline = asyncio.get_running_loop().time() + 60
    while asyncio.get_running_loop().time() < deadline:
        schedules = (await get(connection, "/v1/schedules")).json()["schedules"]
        (one,) = [one for one in schedules if one["name"] == "each minute"]
        late, tasks = await all_ended(connection, 10), await listed(connection)
        if tasks and not late and _minute(one["next_at"]) - _last(tasks) == 1:
            break
        await asyncio.sleep(0.1)
    fired = Counter(_minute(task["run_at"]) for task in tasks)
    broken = [f"{count} tasks of the firing at {minute}" for minute, count in fired.items() if count != 1]
    missed = set(range(min(fired), max(fired))) - set(fired)
    broken += [f"no task of the firing at {minute}" for minute in missed]
    print(len(fired), "firings", broken)
    return broken + [f"{task['id']}: {task['status']}" for task in tasks if task["status"] != "succeeded"]


def _last(tasks: Sequence[Event]) -> int:
    return max(_minute(task["run_at"]) for task in tasks)


def _minute(time: str) -> int:
    """A firing's own: its jitter is less than a minute."""
    return from_datetime(datetime.fromisoformat(time)) // (60 * SECOND)


async def test_each_firing_makes_one_task_whoever_is_killed_and_wherever_the_clock_goes(tmp_path: Path) -> None:
    assert await fire_while_time_flies(tmp_path, kills=3, moves=12) == []


async def test_the_checker_finds_a_schedule_without_its_guard(tmp_path: Path) -> None:
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        if await fire_while_time_flies(folder, ",postgres-schedule-without-guard", kills=0, moves=6):
            return
    pytest.fail("it was not found")
