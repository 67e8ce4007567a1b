"""The adapters of `ports/tasks` and `ports/schedules` that the suites run against, and what the suites are written in.
A new adapter is one entry of TASK_TABLES."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from headrace.adapters.memory.clock import MemoryClock
from headrace.kit.ids import format_id
from headrace.model.task import Beat, Ending, Heard, NewTask, Outcome, Status, Task, TaskFilter, Wanted
from headrace.ports.schedules import Schedules
from headrace.ports.tasks import Tasks

SECOND = 1_000_000
NOW = 1_800_003_600_000_000
MADE = NOW - 3600 * SECOND
ADA, BOB, EVE = "ada", "bob", "eve"
LEASE = 60.0
GONE = int(LEASE + 5) * SECOND
"""After so long a lease has run out, whatever an adapter allows for clocks that differ."""


@dataclass(frozen=True)
class TaskTable:
    """One adapter, opened."""

    tasks: Tasks
    schedules: Schedules
    close: Callable[[], Awaitable[None]]

    async def add(self, *tasks: NewTask, now: int = NOW) -> list[int]:
        """The ids."""
        return [added.id for added in await self.tasks.add(tasks, now)]

    async def claim(self, limit: int = 10, now: int = NOW, **fields: Any) -> Sequence[Task]:
        fields = {"holder": "here", "seconds": LEASE, **fields}
        return await self.tasks.claim(Wanted(limit=limit, **fields), now)

    async def claimed(self, *tasks: NewTask, now: int = NOW) -> Task:
        """The tasks are added, and the first to run is running."""
        await self.add(*tasks, now=now)
        (task,) = await self.claim(1, now)
        return task

    async def end(self, task: Task, ending: Ending = Ending.SUCCEEDED, now: int = NOW, **fields: Any) -> Task | None:
        (ended,) = await self.tasks.finish([Outcome(task.id, task.lease, ending, **fields)], now)
        return ended

    async def beat(self, task: Task, seconds: float = LEASE, now: int = NOW, progress: bytes | None = None) -> Heard:
        (heard,) = await self.tasks.beat([Beat(task.id, task.lease, progress)], seconds, now)
        return heard

    async def get(self, id: int) -> Task:
        task = await self.tasks.get(id)
        assert task
        return task

    async def status(self, id: int) -> str:
        return (await self.get(id)).status.value

    async def find(self, limit: int = 100, before: int | None = None, offset: int = 0, **fields: Any) -> list[int]:
        """The ids."""
        found = await self.tasks.find(TaskFilter(**fields), limit=limit, before=before, offset=offset)
        return [task.id for task in found]

    async def events(self) -> list[dict[str, Any]]:
        """What the journal holds."""
        return [
            msgspec.json.decode(line) for entry in await self.tasks.journal(1000) for line in entry.lines.split(b"\n")
        ]

    async def told(self, id: int) -> list[str]:
        """The states that a task came into, by the journal."""
        return [
            event["action"].removeprefix("task.")
            for event in await self.events()
            if event["attributes"]["task_id"] == format_id(id)
        ]

    async def in_state(self, status: Status, task: NewTask) -> Task:
        """This task, brought into this state."""
        if status is Status.SCHEDULED:
            await self.add(msgspec.structs.replace(task, run_at=NOW + 3600 * SECOND))
        elif status is Status.QUEUED:
            await self.add(task)
        elif status is Status.CANCELLED:
            await self.add(task)
            await self.tasks.cancel([task.id], NOW)
        else:
            await self._ran(status, task)
        return await self.get(task.id)

    async def _ran(self, status: Status, task: NewTask) -> None:
        running = await self.claimed(msgspec.structs.replace(task, max_attempts=1))
        assert running.id == task.id
        if status is Status.SUCCEEDED:
            await self.end(running, result=b"15")
        elif status is Status.FAILED:
            await self.end(running, Ending.FAILED, error="no such bucket")
        elif status is Status.DEAD:
            await self.end(running, Ending.RETRY, error="no answer")


def task_id(number: int) -> int:
    """Of the task with this number: a UUIDv7, made `number` ms after MADE."""
    return (MADE // 1000 + number) << 80 | 7 << 76 | 2 << 62 | number


def new(number: int, owner: str = ADA, **fields: Any) -> NewTask:
    fields = {"type": "add", "created_at": MADE + number * 1000, "args": b'{"a":5,"b":10}', **fields}
    return NewTask(task_id(number), owner=owner, **fields)


def ids(tasks: Sequence[Task | None]) -> list[int]:
    return [task.id for task in tasks if task]


def numbers(*wanted: int) -> list[int]:
    """The ids of these tasks."""
    return [task_id(number) for number in wanted]


async def _sqlite(place: str) -> TaskTable:
    from headrace.adapters.sqlite.schedules import SqliteSchedules
    from headrace.adapters.sqlite.tasks import SqliteTasks

    tasks = await SqliteTasks.open(Path(place) / "tasks.db")
    return TaskTable(tasks, SqliteSchedules(tasks), tasks.close)


async def _postgres(place: str) -> TaskTable:
    from headrace.adapters.postgres.schedules import PostgresSchedules
    from headrace.adapters.postgres.tasks import PostgresTasks

    tasks = await PostgresTasks.open(place, MemoryClock(NOW))
    return TaskTable(tasks, PostgresSchedules(tasks), tasks.close)


TASK_TABLES: dict[str, Callable[[str], Awaitable[TaskTable]]] = {
    "sqlite": _sqlite, "postgres": _postgres, "postgres-pooled": _postgres,
}  # fmt: skip
"""Opened in a folder, or by the URL of a database of its own (those named `postgres…`)."""


async def soon(waiting: asyncio.Task[None]) -> None:
    """It ends by itself, long before its own time is up."""
    await asyncio.wait_for(waiting, 10)
