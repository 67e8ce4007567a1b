"""What can be planted where tasks are: bugs, which the checker must find, and faults, which must be survived."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import apsw
from msgspec.structs import replace

from headrace import wiring
from headrace.adapters.postgres.schedules import PostgresSchedules
from headrace.adapters.postgres.tasks import PostgresTasks
from headrace.adapters.sqlite.schedules import SqliteSchedules
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.adapters.system.clock import SystemClock
from headrace.kit.times import SECOND
from headrace.model.schedule import Schedule
from headrace.model.task import Added, NewTask, Outcome, Status, Task, Wanted
from headrace.tasks import firing
from headrace.tasks.leasing import LeaseDesk
from headrace.tasks.rights import id_of
from tests.support.faulty_vfs import FaultyVfs

CLOCK = "CHAOS_CLOCK"
"""Of the environment: a file with the µs by which the clock is wrong."""
_REGISTERED: list[apsw.VFS] = []


def _set(owner: object, name: str, value: object) -> None:
    setattr(owner, name, value)


# --- bugs ------------------------------------------------------------------------------------------------------------


def complete_without_lease_check(kind: Any) -> None:
    """Whoever says that a task has ended is believed, whatever lease he has."""
    finish = kind.finish

    async def finish_any(tasks: Any, outcomes: Sequence[Outcome], now: int) -> Sequence[Task | None]:
        believed = []
        for one in outcomes:
            task = await tasks.get(one.id)
            running = task is not None and task.status is Status.RUNNING
            believed.append(replace(one, lease=task.lease) if running else one)
        done: Sequence[Task | None] = await finish(tasks, believed, now)
        return done

    _set(kind, "finish", finish_any)
    leased = LeaseDesk._leased

    async def leased_any(desk: LeaseDesk, principal: Any, id: str, lease: int) -> Task:
        task = await desk._tasks.get(id_of(id))
        return await leased(desk, principal, id, task.lease if task is not None else lease)

    _set(LeaseDesk, "_leased", leased_any)


def submit_ack_before_commit(kind: Any) -> None:
    """`add` answers at once, and commits a little later."""
    add = kind.add
    adding = set()

    async def commit_later(tasks: Any, new: Sequence[NewTask], now: int) -> None:
        await asyncio.sleep(0.5)
        await add(tasks, new, now)

    async def add_at_once(tasks: Any, new: Sequence[NewTask], now: int) -> Sequence[Added]:
        later = asyncio.create_task(commit_later(tasks, new, now))
        adding.add(later)
        later.add_done_callback(adding.discard)
        return [Added(one.id, is_new=True, fingerprint=one.fingerprint) for one in new]

    _set(kind, "add", add_at_once)


def claim_twice(kind: Any) -> None:
    """Now and then a claim hands out what was handed out before."""
    claim = kind.claim
    chance = random.Random(1)
    old: list[Task] = []

    async def claim_again(tasks: Any, wanted: Wanted, now: int) -> Sequence[Task]:
        taken: list[Task] = list(await claim(tasks, wanted, now))
        if taken and old and len(taken) < wanted.limit and chance.random() < 0.6:
            taken.append(old[-1])
        old.extend(task for task in taken if task not in old)
        return taken

    _set(kind, "claim", claim_again)


def sweep_ends_live_leases(kind: Any) -> None:
    """The sweep takes leases for ended that still hold for a while."""
    sweep = kind.sweep

    async def sweep_early(tasks: Any, now: int, *more: Any) -> Any:
        return await sweep(tasks, now + 3_600 * SECOND, *more)

    _set(kind, "sweep", sweep_early)


def schedule_without_guard(kind: Any) -> None:
    """Who fires does not look whether somebody else has, and gives the task no key of the firing."""
    fire = kind.fire

    async def fire_anyhow(
        schedules: Any, schedule: Schedule, tasks: Sequence[NewTask], next_at: int | None, now: int
    ) -> Sequence[int] | None:
        await asyncio.sleep(0.2)  # others see that it is due, too
        there = await schedules.get(schedule.id)
        if there is None:
            return None
        unkeyed = [replace(task, idempotency_key=uuid4().hex) for task in tasks]
        fired: Sequence[int] | None = await fire(schedules, there, unkeyed, next_at, now)
        return fired

    _set(kind, "fire", fire_anyhow)


# --- faults ----------------------------------------------------------------------------------------------------------


def _serve_tasks_from(name: str, fault: str) -> None:
    """A call to the disk of the task table fails now and then."""
    vfs = FaultyVfs(name)
    _REGISTERED.append(vfs)
    strike, calls = vfs.strike, 0

    def once_in_a_while(what: str, ends: Any, file: str) -> bool:
        nonlocal calls
        calls += 1
        _set(vfs, fault, "-wal" if calls % 211 == 210 else None)
        return strike(what, getattr(vfs, fault), file)

    _set(vfs, "strike", once_in_a_while)
    open_tasks = SqliteTasks.open

    async def opened(path: Path, *, vfs: str | None = None) -> SqliteTasks:
        return await open_tasks(path, vfs=name if vfs is None else vfs)

    _set(SqliteTasks, "open", opened)


def clock_of_file() -> None:
    """The clock is wrong by what a file says, and schedules are looked at all the time."""
    file = Path(os.environ[CLOCK])

    class FileClock(SystemClock):
        def now(self) -> int:
            return super().now() + int(file.read_text() or 0)

    _set(wiring.adapters, "SystemClock", FileClock)
    _set(firing, "_LOOK_SECONDS", 0.1)


TASK_BUGS: dict[str, Callable[[], None]] = {
    "complete-without-lease-check": partial(complete_without_lease_check, SqliteTasks),
    "submit-ack-before-commit": partial(submit_ack_before_commit, SqliteTasks),
    "claim-twice": partial(claim_twice, SqliteTasks),
    "sweep-ends-live-leases": partial(sweep_ends_live_leases, SqliteTasks),
    "schedule-without-guard": partial(schedule_without_guard, SqliteSchedules),
}
POSTGRES_TASK_BUGS: dict[str, Callable[[], None]] = {
    "postgres-complete-without-lease-check": partial(complete_without_lease_check, PostgresTasks),
    "postgres-submit-ack-before-commit": partial(submit_ack_before_commit, PostgresTasks),
    "postgres-claim-twice": partial(claim_twice, PostgresTasks),
    "postgres-sweep-ends-live-leases": partial(sweep_ends_live_leases, PostgresTasks),
    "postgres-schedule-without-guard": partial(schedule_without_guard, PostgresSchedules),
}
TASK_FAULTS: dict[str, Callable[[], None]] = {
    "tasks-fsync-fails": partial(_serve_tasks_from, "tasks-fsync-fails", "sync_error"),
    "tasks-write-fails": partial(_serve_tasks_from, "tasks-write-fails", "write_error"),
    "clock-of-file": clock_of_file,
}
