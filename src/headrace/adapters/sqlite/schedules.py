"""Schedules, in the file of the task table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from headrace.adapters.sqlite._task_adding import add
from headrace.adapters.sqlite._task_book import Book
from headrace.adapters.sqlite._task_editing import changed
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.errors import Conflict
from headrace.model.schedule import CatchUp, Schedule, ScheduleChanges
from headrace.model.task import NewTask

_COLUMNS = (
    "id, name, owner, cron, timezone, task, created_at, jitter, catch_up, enabled, next_at, last_at, last_task"
)
_CREATE = f"INSERT INTO schedules ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
_GET = f"SELECT {_COLUMNS} FROM schedules WHERE id = ?"  # noqa: S608 - constants
_LIST = f"SELECT {_COLUMNS} FROM schedules WHERE ?1 IS NULL OR owner = ?1 ORDER BY name, id"  # noqa: S608 - constants
_DUE = f"""SELECT {_COLUMNS} FROM schedules INDEXED BY schedules_due
    WHERE enabled = 1 AND next_at <= ? ORDER BY next_at, id LIMIT ?"""  # noqa: S608 - constants
_NEXT = "SELECT min(next_at) FROM schedules INDEXED BY schedules_due WHERE enabled = 1 AND next_at IS NOT NULL"
_IS_NAMED = "SELECT EXISTS (SELECT 1 FROM schedules WHERE owner = ? AND name = ? AND id <> ?)"
_MOVE_ON = """UPDATE schedules SET next_at = ?, last_at = coalesce(?, last_at), last_task = coalesce(?, last_task)
    WHERE id = ?"""


class SqliteSchedules:
    """`ports.schedules.Schedules` beside these tasks, which are opened and closed on their own."""

    def __init__(self, tasks: SqliteTasks) -> None:
        self._writer = tasks.writer
        self._readers = tasks.readers

    async def create(self, schedule: Schedule) -> None:
        """See the port."""
        await self._writer.change(_create, schedule)

    async def get(self, id: int) -> Schedule | None:
        """See the port."""
        return await self._readers.run(_get, id)

    async def list(self, owner: str | None = None) -> Sequence[Schedule]:
        """See the port."""
        return await self._readers.run(_read, _LIST, owner)

    async def update(self, id: int, changes: ScheduleChanges) -> Schedule | None:
        """See the port."""
        return await self._writer.change(_change, id, changes)

    async def delete(self, id: int) -> bool:
        """See the port."""
        return await self._writer.change(_delete, id)

    async def due(self, before: int, limit: int) -> Sequence[Schedule]:
        """See the port."""
        return await self._readers.run(_read, _DUE, before, limit)

    async def next_at(self) -> int | None:
        """See the port."""
        return await self._readers.run(_next_at)

    async def fire(
        self, schedule: Schedule, tasks: Sequence[NewTask], next_at: int | None, now: int
    ) -> Sequence[int] | None:
        """See the port."""
        return await self._writer.change(_fire, schedule, tasks, next_at, now)


def _create(book: Book, schedule: Schedule) -> None:
    _require_free(book, schedule.owner, schedule.name, schedule.id)
    book.execute(_CREATE, (
        schedule.id.to_bytes(16), schedule.name, schedule.owner, schedule.cron, schedule.timezone, schedule.task,
        schedule.created_at, schedule.jitter, schedule.catch_up.value, schedule.enabled, schedule.next_at,
        schedule.last_at, None if schedule.last_task is None else schedule.last_task.to_bytes(16),
    ))  # fmt: skip


def _change(book: Book, id: int, changes: ScheduleChanges) -> Schedule | None:
    found = _get(book, id)
    if found is None:
        return None
    columns = changed(changes)
    if changes.name != found.name and isinstance(changes.name, str):
        _require_free(book, found.owner, changes.name, id)
    if columns:
        names = ", ".join(f"{name} = ?" for name in columns)
        values = [value.value if isinstance(value, CatchUp) else value for value in columns.values()]
        book.execute(f"UPDATE schedules SET {names} WHERE id = ?", (*values, id.to_bytes(16)))  # noqa: S608 - names of a record's fields
    return _get(book, id)


def _delete(book: Book, id: int) -> bool:
    return bool(book.execute("DELETE FROM schedules WHERE id = ? RETURNING 1", (id.to_bytes(16),)).fetchall())


def _fire(
    book: Book, schedule: Schedule, tasks: Sequence[NewTask], next_at: int | None, now: int
) -> list[int] | None:
    found = _get(book, schedule.id)
    if found is None or not found.enabled or found.next_at != schedule.next_at:
        return None
    fresh = [added.id for added in add(book, tasks, now) if added.is_new]
    last = (now, fresh[-1].to_bytes(16)) if fresh else (None, None)
    book.execute(_MOVE_ON, (next_at, *last, schedule.id.to_bytes(16)))
    return fresh


def _require_free(book: Book, owner: str, name: str, id: int) -> None:
    if book.execute(_IS_NAMED, (owner, name, id.to_bytes(16))).get:
        raise Conflict(f"there is a schedule named {name} already: choose another name, or change that one")


def every(reader: apsw.Connection) -> list[Schedule]:
    return _read(reader, _LIST, None)


def _get(source: Book | apsw.Connection, id: int) -> Schedule | None:
    return next((_schedule(row) for row in source.execute(_GET, (id.to_bytes(16),))), None)


def _read(reader: apsw.Connection, sql: str, *values: object) -> list[Schedule]:
    return [_schedule(row) for row in reader.execute(sql, values)]


def _next_at(reader: apsw.Connection) -> int | None:
    found: int | None = reader.execute(_NEXT).get
    return found


def _schedule(row: tuple[Any, ...]) -> Schedule:
    id_, name, owner, cron, timezone, task, created_at, jitter, catch_up, enabled, next_at, last_at, last_task = row
    return Schedule(
        int.from_bytes(id_), name, owner, cron, timezone, task, created_at, jitter, CatchUp(catch_up), bool(enabled),
        next_at, last_at, None if last_task is None else int.from_bytes(last_task),
    )  # fmt: skip
