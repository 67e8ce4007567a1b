"""The PostgreSQL side of a move of all tasks: what waits goes into its lanes, what has ended into the history.

Until all is there its queues are paused, and there are no schedules: a server that is started too early begins nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Self

from headrace.adapters.postgres import _move_notes as notes
from headrace.adapters.postgres import _task_moving as moving
from headrace.adapters.postgres._task_arrays import byteas, float8s, int2s, int4s, int8s, texts, uuids
from headrace.adapters.postgres._task_partitions import make
from headrace.adapters.postgres._task_rows import fetch
from headrace.adapters.postgres._task_tables import LAYOUT
from headrace.adapters.postgres.database import Connection, Database
from headrace.adapters.postgres.layout import prepare
from headrace.adapters.postgres.schedules import CREATE, created
from headrace.errors import Conflict
from headrace.kit.failpoint import reach
from headrace.model.task import FINISHED
from headrace.model.task_journal import Entry
from headrace.model.task_move import JournalPage, MovedTask, TaskPage, TaskSettings, TaskTotals
from headrace.ports.clock import Clock
from headrace.ports.task_move import TaskPart

_NAME = "the tasks' database"
_CONNECTIONS = 1
_SECONDS = 600.0  # a page: 5,000 rows into every index, on a slow disk too
_WORTH_ONE = 1_000  # tasks of a day, below which they lie in the default partition
_TABLES = ("tasks", "task_history", "task_journal", "task_keys", "task_schedules")


class PostgresMoveTasks:
    """`ports.task_move.TasksInto`."""

    def __init__(self, database: Database) -> None:
        """Use `open`."""
        self._database = database

    @classmethod
    async def open(cls, url: str, clock: Clock) -> Self:
        """Connect, and make the tables. Raises NewerFormat, Unusable or Unavailable."""
        database = Database(url, clock, name=_NAME, size=_CONNECTIONS)
        await database.open()
        try:
            await prepare(database, LAYOUT, migrate=True)
            await prepare(database, notes.LAYOUT, migrate=True)
        except BaseException:
            await database.close()
            raise
        return cls(database)

    async def look(self, source: str) -> None:
        await notes.look(self._database, TaskPart.TASKS, source, _TABLES)

    async def begin(self, source: str, settings: TaskSettings) -> Mapping[TaskPart, int]:
        reached = await notes.begin(self._database, source, tuple(TaskPart))
        async with self._database.changing(_SECONDS) as connection:
            await _make_days(connection, settings.days)
            await fetch(connection, moving.PAUSE, (texts([queue.name for queue in settings.queues]),))
        return {part: reached[part] for part in TaskPart}

    async def add_journal(self, page: JournalPage) -> None:
        async with self._database.changing(_SECONDS) as connection, connection.transaction():
            await _take_turn(connection, TaskPart.JOURNAL, page.after, page.upto)
            await _add_journal(connection, page.entries)
            reach("move.task_journal")

    async def write(self, page: TaskPage) -> None:
        live = [one for one in page.tasks if one.task.status not in FINISHED]
        past = [one for one in page.tasks if one.task.status in FINISHED]
        keyed = [one for one in page.tasks if one.idempotency_key is not None]
        async with self._database.changing(_SECONDS) as connection, connection.transaction():
            await _take_turn(connection, TaskPart.TASKS, page.after, page.upto)
            if live:
                await _add_live(connection, live)
            if past:
                await fetch(connection, moving.ADD_PAST, await asyncio.to_thread(moving.past, past))
            if keyed:
                await fetch(connection, moving.ADD_KEYS, moving.keys(keyed))
            await fetch(connection, moving.ADD_COUNTS, moving.counts(page.tasks))
            if page.entry is not None:
                await _add_journal(connection, [page.entry])
            reach("move.tasks_before_commit")
        reach("move.tasks_after_commit")

    async def finish(self, settings: TaskSettings) -> None:
        queues = settings.queues
        values = (
            texts([queue.name for queue in queues]), int2s([queue.paused for queue in queues]),
            int8s([queue.concurrency for queue in queues]), float8s([queue.rate_limit for queue in queues]),
        )  # fmt: skip
        async with self._database.changing(_SECONDS) as connection, connection.transaction():
            await connection.execute(moving.BEGIN)
            await connection.execute("DELETE FROM task_schedules")
            for schedule in settings.schedules:
                await fetch(connection, CREATE, created(schedule))
            await fetch(connection, moving.SET_QUEUES, values)
            await fetch(connection, moving.NUMBER_ON, (settings.last_lease,))
            reach("move.tasks_before_finish")
        reach("move.tasks_after_finish")

    async def totals(self) -> TaskTotals:
        async with self._database.asking(_SECONDS) as connection:
            (row,) = await fetch(connection, moving.TOTALS, ())
        return TaskTotals(*row)

    async def close(self) -> None:
        await self._database.close()


async def _make_days(connection: Connection, days: Mapping[date, int]) -> None:
    for day, count in sorted(days.items()):
        if count >= _WORTH_ONE:
            await make(connection, day)


async def _take_turn(connection: Connection, part: TaskPart, after: int, upto: int) -> None:
    """Raises Conflict when another copy has gone on meanwhile."""
    await connection.execute(moving.BEGIN)
    if not await fetch(connection, moving.REACH, (upto, part.value, after)):
        raise Conflict("Another copy runs into the same database: let that one finish, or stop it and begin again.")


async def _add_live(connection: Connection, tasks: Sequence[MovedTask]) -> None:
    lanes = sorted({moving.lane_of(one) for one in tasks})  # in one order, so that nobody waits in a ring
    found = await fetch(connection, moving.LANES, moving.lanes(lanes))
    numbers = {lane: number for lane, (number,) in zip(lanes, found, strict=True)}
    values = await asyncio.to_thread(moving.live, tasks, [numbers[moving.lane_of(one)] for one in tasks])
    await fetch(connection, moving.ADD_LIVE, values)


async def _add_journal(connection: Connection, entries: Sequence[Entry]) -> None:
    values = (
        int8s([entry.time for entry in entries]), int4s([entry.count for entry in entries]),
        uuids([entry.first_id for entry in entries]), byteas([entry.lines for entry in entries]),
    )  # fmt: skip
    await fetch(connection, moving.ADD_JOURNAL, values)
