"""What is read of the task table, on a connection that only reads. Blocking; one snapshot a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw

from headrace.adapters.sqlite._task_rows import COLUMNS, STATUSES, Lane3, task_of
from headrace.model.task import Task, TaskCount, TaskQueue
from headrace.model.task_journal import Entry

OF_TASK = "".join(f"t.{name.strip()}, " for name in COLUMNS.split(",")) + "l.queue, l.type, l.owner"
TASK = f"SELECT {OF_TASK} FROM tasks t JOIN lanes l ON l.lane = t.lane"  # noqa: S608 - constants
_GET = f"{TASK} WHERE t.id = ?"
_CALLBACKS = f"""SELECT {OF_TASK} FROM tasks t INDEXED BY tasks_to_call_back JOIN lanes l ON l.lane = t.lane
    WHERE t.call_back = 1 ORDER BY t.seq LIMIT ?"""  # noqa: S608 - constants
_JOURNAL = "SELECT seq, time, count, first_id, lines FROM journal ORDER BY seq LIMIT ?"
_QUEUES = """SELECT q.name, q.paused, q.concurrency, q.rate_limit, total(l.queued), total(l.scheduled), total(l.running)
    FROM queues q LEFT JOIN lanes l ON l.queue = q.name AND (?1 IS NULL OR l.owner = ?1)
    WHERE ?2 IS NULL OR q.name = ?2 GROUP BY q.name ORDER BY q.name"""
_OLDEST = """SELECT l.queue, min((SELECT t.id FROM tasks t INDEXED BY tasks_by_lane
        WHERE t.lane = l.lane AND t.shelf = 1 AND t.status = 1 ORDER BY t.id LIMIT 1))
    FROM lanes l WHERE l.queued > 0 AND (?1 IS NULL OR l.owner = ?1) AND (?2 IS NULL OR l.queue = ?2)
    GROUP BY l.queue"""
_CREATED = "SELECT created_at FROM tasks WHERE id = ?"
_SUMS = ", ".join(f"sum({status.value})" for status in STATUSES)
_COUNTS = f"SELECT type, {_SUMS} FROM lanes WHERE ?1 IS NULL OR owner = ?1 GROUP BY type ORDER BY type"  # noqa: S608 - constants


def get(reader: apsw.Connection, id: int) -> Task | None:
    """See the port."""
    row = reader.execute(_GET, (id.to_bytes(16),)).fetchone()
    return None if row is None else task(row)


def task(row: tuple[object, ...]) -> Task:
    """Of a row of TASK."""
    lane: Lane3 = row[-3:]  # type: ignore[assignment]  # NOT NULL TEXT, all three
    return task_of(row[:-3], lane)


def queues(reader: apsw.Connection, owner: str | None, name: str | None = None) -> list[TaskQueue]:
    """See the port; of one name, if one is given."""
    oldest: dict[Any, Any] = dict(reader.execute(_OLDEST, (owner, name)).fetchall())  # type: ignore[arg-type]  # pairs
    return [
        TaskQueue(
            queue, bool(paused), concurrency, rate_limit, int(queued), int(scheduled), int(running),
            reader.execute(_CREATED, (oldest.get(queue),)).get,
        )
        for queue, paused, concurrency, rate_limit, queued, scheduled, running in reader.execute(_QUEUES, (owner, name))
    ]  # fmt: skip


def counts(reader: apsw.Connection, owner: str | None) -> list[TaskCount]:
    """See the port."""
    return [
        TaskCount(kind, status, count)
        for kind, *sums in reader.execute(_COUNTS, (owner,))
        for status, count in zip(STATUSES, sums, strict=True)
        if count
    ]


def callbacks(reader: apsw.Connection, limit: int) -> list[Task]:
    """See the port."""
    return [task(row) for row in reader.execute(_CALLBACKS, (limit,))]


def journal(reader: apsw.Connection, limit: int) -> Sequence[Entry]:
    """See the port."""
    return [
        Entry(seq, time, count, int.from_bytes(first_id), lines)
        for seq, time, count, first_id, lines in reader.execute(_JOURNAL, (limit,))
    ]
