"""Schedules in PostgreSQL, in the database of the tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import errors

from headrace.adapters.postgres import _task_rows as rows
from headrace.adapters.postgres._queue_tables import WAITS_FOR_DISK
from headrace.adapters.postgres._task_adding import ADD
from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.faults import committing
from headrace.adapters.postgres.tasks import PostgresTasks, added_before
from headrace.errors import Conflict
from headrace.model.bucket import UNSET
from headrace.model.schedule import CatchUp, Schedule, ScheduleChanges
from headrace.model.task import NewTask

_SECONDS = 15.0
_COLUMNS = "id, name, owner, cron, timezone, task, created_at, jitter, catch_up, enabled, next_at, last_at, last_task"
CREATE = f"""
    INSERT INTO task_schedules ({_COLUMNS})
    SELECT {", ".join(["%s"] * 13)} WHERE {WAITS_FOR_DISK}
"""
_GET = f"SELECT {_COLUMNS} FROM task_schedules WHERE id = %s"  # noqa: S608 - our own text
_LIST = f"""
    SELECT {_COLUMNS} FROM task_schedules WHERE %(owner)s::text IS NULL OR owner = %(owner)s ORDER BY name, id
"""  # noqa: S608 - our own text
_UPDATE = "UPDATE task_schedules SET {changes} WHERE id = %(id)s AND {wait}"
_DELETE = f"DELETE FROM task_schedules WHERE id = %s AND {WAITS_FOR_DISK} RETURNING id"  # noqa: S608 - our own text
_DUE = f"""
    SELECT {_COLUMNS} FROM task_schedules WHERE enabled AND next_at <= %s ORDER BY next_at, id LIMIT %s
"""  # noqa: S608 - our own text
_NEXT = "SELECT min(next_at) FROM task_schedules WHERE enabled"
# Whoever has the row fires; the others find it moved on, once they have it.
_HOLD = """
    SELECT 1 FROM task_schedules
    WHERE id = %s AND enabled AND next_at IS NOT DISTINCT FROM %s FOR UPDATE
"""
_MOVE = f"""
    UPDATE task_schedules SET next_at = %(next_at)s::bigint, last_at = coalesce(%(last_at)s::bigint, last_at),
        last_task = coalesce(%(last_task)s::uuid, last_task)
    WHERE id = %(id)s AND {WAITS_FOR_DISK}
"""  # noqa: S608 - our own text


class PostgresSchedules:
    """`ports.schedules.Schedules`, beside `tasks` and over its connections."""

    def __init__(self, tasks: PostgresTasks) -> None:
        self._tasks = tasks

    async def create(self, schedule: Schedule) -> None:
        """See the port."""
        await self._change(CREATE, created(schedule), schedule.name)

    async def get(self, id: int) -> Schedule | None:
        """See the port."""
        found = await self._tasks.ask(_GET, (rows.uuid(id),))
        return _schedule(found[0]) if found else None

    async def list(self, owner: str | None = None) -> Sequence[Schedule]:
        """See the port."""
        return [_schedule(row) for row in await self._tasks.ask(_LIST, {"owner": owner})]

    async def update(self, id: int, changes: ScheduleChanges) -> Schedule | None:
        """See the port."""
        named = {name: value for name in changes.__struct_fields__ if (value := getattr(changes, name)) is not UNSET}
        if named:
            if "catch_up" in named:
                named["catch_up"] = named["catch_up"].value
            texts = ", ".join(f"{name} = %({name})s" for name in named)
            statement = _UPDATE.format(changes=texts, wait=WAITS_FOR_DISK)
            await self._change(statement, {**named, "id": rows.uuid(id)}, str(changes.name))
        return await self.get(id)

    async def delete(self, id: int) -> bool:
        """See the port."""
        return bool(await self._tasks.run(_DELETE, (rows.uuid(id),)))

    async def due(self, before: int, limit: int) -> Sequence[Schedule]:
        """See the port."""
        return [_schedule(row) for row in await self._tasks.ask(_DUE, (before, limit))]

    async def next_at(self) -> int | None:
        """See the port."""
        ((earliest,),) = await self._tasks.ask(_NEXT, ())
        return None if earliest is None else int(earliest)

    async def fire(
        self, schedule: Schedule, tasks: Sequence[NewTask], next_at: int | None, now: int
    ) -> Sequence[int] | None:
        """See the port."""
        database = self._tasks.database
        with database.breaker.watch(), committing(database.name):
            async with database.connection(_SECONDS) as connection, connection.transaction():
                new = await _fire(connection, schedule, tasks, next_at, now)
        if new:
            self._tasks.word.tell()
        return new

    async def _change(self, statement: str, values: Any, name: str) -> None:
        database = self._tasks.database
        with database.breaker.watch(), committing(database.name):
            async with database.connection(_SECONDS) as connection:
                try:
                    await rows.fetch(connection, statement, values)
                except errors.UniqueViolation as exc:
                    raise Conflict(f"there is a schedule named {name!r} already") from exc


def created(schedule: Schedule) -> Sequence[object]:
    """The values of CREATE."""
    values = [getattr(schedule, name.strip()) for name in _COLUMNS.split(",")]
    values[0] = rows.uuid(schedule.id)
    values[8] = schedule.catch_up.value
    values[12] = None if schedule.last_task is None else rows.uuid(schedule.last_task)
    return values


async def _fire(
    connection: Connection, schedule: Schedule, tasks: Sequence[NewTask], next_at: int | None, now: int
) -> Sequence[int] | None:
    if not await rows.fetch(connection, _HOLD, (rows.uuid(schedule.id), schedule.next_at)):
        return None
    there = added_before(await rows.fetch(connection, ADD, rows.added(tasks, now))) if tasks else {}
    new = [task.id for task in tasks if task.id not in there]
    values = {
        "id": rows.uuid(schedule.id), "next_at": next_at, "last_at": now if new else None,
        "last_task": rows.uuid(new[-1]) if new else None,
    }  # fmt: skip
    await rows.fetch(connection, _MOVE, values)
    return new


def _schedule(row: tuple[Any, ...]) -> Schedule:
    """Of a row of _COLUMNS, as `fetch` has it."""
    (
        first, name, owner, cron, timezone, task, created_at, jitter, catch_up, enabled, next_at, last_at, last_task,
    ) = row  # fmt: skip
    return Schedule(
        int.from_bytes(first), name, owner, cron, timezone, task, created_at, jitter, CatchUp(catch_up), enabled,
        next_at, last_at, None if last_task is None else int.from_bytes(last_task),
    )  # fmt: skip
