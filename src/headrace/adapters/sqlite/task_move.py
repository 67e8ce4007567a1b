"""The embedded task table as what all data moves away from: read where it is, and left as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

from headrace.adapters.sqlite import _task_reads as reads
from headrace.adapters.sqlite import schedules
from headrace.adapters.sqlite._task_file import open_to_copy
from headrace.errors import Unavailable
from headrace.kit.times import DAY, to_datetime
from headrace.model.task import TaskQueue
from headrace.model.task_journal import Entry
from headrace.model.task_move import JournalPage, MovedTask, TaskPage, TaskSettings, TaskTotals

T = TypeVar("T")

_ROWS = 5_000  # of a page
_BYTES = 16 << 20  # of its args and results: a task may have a megabyte
_TOTALS = """SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM tasks WHERE status = 2),
    (SELECT count(*) FROM schedules), (SELECT coalesce(sum(count), 0) FROM journal)"""
_PAGE = f"""SELECT t.seq, t.idempotency_key, t.fingerprint, t.call_back, {reads.OF_TASK}
    FROM tasks t CROSS JOIN lanes l ON l.lane = t.lane WHERE t.seq > ? ORDER BY t.seq LIMIT {_ROWS}"""  # noqa: S608 - constants
_JOURNAL = "SELECT seq, time, count, first_id, lines FROM journal WHERE seq > ? ORDER BY seq"
_QUEUES = "SELECT name, paused, concurrency, rate_limit FROM queues ORDER BY name"
_DAYS = f"SELECT created_at / {DAY}, count(*) FROM tasks WHERE status >= 3 GROUP BY 1"  # noqa: S608 - a constant
_EPOCH = to_datetime(0).date()


class SqliteMoveTasks:
    """`ports.task_move.TasksFrom`. Without its file (of a version before tasks) there are none."""

    def __init__(self, path: Path) -> None:
        """Use `open`."""
        self._path = path
        self._connection: apsw.Connection | None = None

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Raises NewerFormat, Unusable or Unavailable."""
        tasks = cls(path)
        await asyncio.to_thread(tasks._open)
        return tasks

    async def totals(self) -> TaskTotals:
        return await self._read(TaskTotals(), _totals)

    async def settings(self) -> TaskSettings:
        return await self._read(TaskSettings(), _settings)

    async def journal(self, after: int) -> AsyncIterator[JournalPage]:
        while page := await self._read(None, _journal, after):
            yield page
            after = page.upto

    async def pages(self, after: int) -> AsyncIterator[TaskPage]:
        while page := await self._read(None, _page, after):
            yield page
            after = page.upto

    async def close(self) -> None:
        if self._connection is not None:
            await asyncio.to_thread(self._connection.close, True)

    def _open(self) -> None:
        with self._reading():
            if self._path.exists() and self._path.stat().st_size:
                self._connection = open_to_copy(self._path)

    async def _read(self, nothing: T, read: Callable[..., T], *values: object) -> T:
        connection = self._connection
        if connection is None:
            return nothing
        with self._reading():
            return await asyncio.to_thread(read, connection, *values)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as exc:
            raise Unavailable(f"{self._path} cannot be read: {exc}") from exc


def _totals(reader: apsw.Connection) -> TaskTotals:
    return TaskTotals(*next(reader.execute(_TOTALS)))


def _settings(reader: apsw.Connection) -> TaskSettings:
    return TaskSettings(
        [TaskQueue(name, bool(paused), *limits) for name, paused, *limits in reader.execute(_QUEUES)],
        schedules.every(reader),
        reader.execute("SELECT last FROM leases").get,
        {_EPOCH + timedelta(days=day): count for day, count in reader.execute(_DAYS)},
    )


def _journal(reader: apsw.Connection, after: int) -> JournalPage | None:
    entries: list[Entry] = []
    left = _BYTES
    for seq, time, count, first_id, lines in reader.execute(_JOURNAL, (after,)):
        entries.append(Entry(seq, time, count, int.from_bytes(first_id), lines))
        left -= len(lines)
        if left <= 0 or len(entries) == _ROWS:
            break
    return JournalPage(after, entries) if entries else None


def _page(reader: apsw.Connection, after: int) -> TaskPage | None:
    tasks: list[MovedTask] = []
    upto, left = after, _BYTES
    for row in reader.execute(_PAGE, (after,)):
        upto = row[0]
        tasks.append(moved := _moved(row))
        left -= len(moved.task.args) + len(moved.task.result or b"")
        if left <= 0:
            break
    return TaskPage(after, upto, tasks) if tasks else None


def _moved(row: tuple[Any, ...]) -> MovedTask:
    _, key, fingerprint, call_back, *task = row
    own_key = None if key is None else key.partition("\0")[2]
    return MovedTask(reads.task(tuple(task)), own_key, fingerprint, bool(call_back))
