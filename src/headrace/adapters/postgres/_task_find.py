"""TaskFilter → SQL. Every value is a bound parameter; the text depends only on which parts are given.

Live tasks and ended ones are asked apart, each for the newest that match, so that each has its own indexes.
"""

from __future__ import annotations

from uuid import UUID

from headrace.adapters.postgres._task_claiming import COLUMNS
from headrace.adapters.postgres._task_rows import NUMBERS
from headrace.adapters.postgres.filters import Condition
from headrace.adapters.postgres.search_text import folded
from headrace.model.task import FINISHED, UNFINISHED, Status, TaskFilter

_LIKE = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
_LARGEST = (1 << 128) - 1
_LIVE_COLUMNS = ", ".join(f"live.{name.strip()}" for name in COLUMNS.split(","))


def find(filter: TaskFilter, limit: int, before: int | None, offset: int) -> tuple[str, list[object]] | None:
    """The statement and its parameters; None where nothing can match."""
    parts: list[str] = []
    params: list[object] = []
    wanted = frozenset(filter.statuses) or frozenset(Status)
    most = limit + offset
    for statement in (_live(filter, wanted & UNFINISHED, before, most), _past(filter, wanted & FINISHED, before, most)):
        if statement is not None:
            parts.append(f"({statement[0]})")
            params += statement[1]
    if not parts:
        return None
    text = f"SELECT {COLUMNS} FROM ({' UNION ALL '.join(parts)}) AS found ORDER BY id DESC LIMIT %s OFFSET %s"
    return text, [*params, limit, offset]


def _live(
    filter: TaskFilter, statuses: frozenset[Status], before: int | None, most: int
) -> tuple[str, list[object]] | None:
    if not statuses:
        return None
    condition = _common(filter, before, "t.")
    running = "EXISTS (SELECT FROM task_leases l WHERE l.id = t.id)"
    if statuses == {Status.RUNNING}:  # few, whatever else there is
        condition.add("t.id IN (SELECT id FROM task_leases)")
    elif statuses == {Status.SCHEDULED}:
        condition.add("t.state = 0")
    elif statuses == {Status.QUEUED}:
        condition.add(f"t.state <> 0 AND NOT {running}")
    elif statuses == {Status.QUEUED, Status.RUNNING}:
        condition.add("t.state <> 0")
    elif statuses == {Status.SCHEDULED, Status.RUNNING}:
        condition.add(f"t.state = 0 OR {running}")
    elif statuses == {Status.SCHEDULED, Status.QUEUED}:
        condition.add(f"NOT {running}")
    # The ids first: what a task shows is looked up for those of the page alone.
    page = f"SELECT t.id FROM tasks t WHERE {condition.sql} ORDER BY t.id DESC LIMIT %s"
    return f"SELECT {_LIVE_COLUMNS} FROM task_live live WHERE live.id IN ({page})", [*condition.params, most]


def _past(
    filter: TaskFilter, statuses: frozenset[Status], before: int | None, most: int
) -> tuple[str, list[object]] | None:
    if not statuses:
        return None
    condition = _common(filter, before, "")
    if statuses != FINISHED:
        condition.add_any("status", sorted(NUMBERS[status] for status in statuses))
    text = f"SELECT {COLUMNS} FROM task_past WHERE {condition.sql} ORDER BY id DESC LIMIT %s"
    return text, [*condition.params, most]


def _common(filter: TaskFilter, before: int | None, prefix: str) -> Condition:
    condition = Condition()
    if filter.owner is not None:
        condition.add(f"{prefix}owner = %s", filter.owner)
    condition.add_any(f"{prefix}type", filter.types)
    condition.add_any(f"{prefix}queue", filter.queues)
    for word in filter.q:
        if word:
            condition.add(f"{prefix}search LIKE %s", f"%{folded(word).translate(_LIKE)}%")
    _add_times(condition, filter, before, prefix)
    return condition


def _add_times(condition: Condition, filter: TaskFilter, before: int | None, prefix: str) -> None:
    """By the time in the ids too, since indexes and partitions go by these."""
    if filter.since is not None:
        condition.add(f"{prefix}created_at >= %s", filter.since)
        condition.add(f"{prefix}id >= %s", _id(filter.since // 1000 << 80))
    if filter.until is not None:
        condition.add(f"{prefix}created_at < %s", filter.until)
        condition.add(f"{prefix}id < %s", _id((filter.until // 1000 + 1) << 80))
    if before is not None:
        condition.add(f"{prefix}id < %s", _id(before))


def _id(value: int) -> UUID:
    return UUID(int=min(max(value, 0), _LARGEST))
