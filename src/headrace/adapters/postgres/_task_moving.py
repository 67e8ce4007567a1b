"""The statements of a move of tasks into this database, and what they are given.

Nothing here is a function inside the server: a move is seldom, and alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from headrace.adapters.postgres import _task_rows as rows
from headrace.adapters.postgres._task_arrays import Array, byteas, float8s, int2s, int4s, int8s, texts, uuids
from headrace.adapters.postgres.guarantee import AT_LEAST_THE_DISK
from headrace.model.task import Retry, Task
from headrace.model.task_move import MovedTask

# Flushed, whatever the server's default. A table without statistics is not read from end to end (see PLANNING).
BEGIN = f"""
SET LOCAL statement_timeout = '600s';
SET LOCAL lock_timeout = '30s';
SET LOCAL enable_seqscan = off;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL jit = off;
{AT_LEAST_THE_DISK};
"""
# Who holds the place where a page belongs holds off everybody else.
REACH = "UPDATE headrace_move SET reached = %b WHERE part = %b AND reached = %b RETURNING reached"

_encode_retry: Callable[[Retry], bytes] = msgspec.json.Encoder().encode

_Column = tuple[str, Callable[[Iterable[Any]], Array], Callable[[MovedTask], Any]]  # Any: of the column's type
_COMMON: Sequence[_Column] = (
    ("id", uuids, lambda one: one.task.id),
    ("created_at", int8s, lambda one: one.task.created_at),
    ("run_at", int8s, lambda one: one.task.run_at),
    ("started_at", int8s, lambda one: one.task.started_at),
    ("timeout", float8s, lambda one: one.task.timeout),
    ("lease", int8s, lambda one: one.task.lease),
    ("attempt", int4s, lambda one: one.task.attempt),
    ("max_attempts", int4s, lambda one: one.task.max_attempts),
    ("priority", int2s, lambda one: one.task.priority),
    ("status", int2s, lambda one: rows.NUMBERS[one.task.status]),
    ("type", texts, lambda one: one.task.type),
    ("owner", texts, lambda one: one.task.owner),
    ("queue", texts, lambda one: one.task.queue),
    ("args", byteas, lambda one: one.task.args),
    ("search", texts, lambda one: _searched(one.task)),
    ("retry", byteas, lambda one: None if one.task.retry is None else _encode_retry(one.task.retry)),
    ("concurrency_key", texts, lambda one: one.task.concurrency_key),
    ("idempotency_key", texts, lambda one: one.idempotency_key),
    ("callback_url", texts, lambda one: one.task.callback_url),
    ("error", texts, lambda one: None if one.task.error is None else rows.stored_text(one.task.error)),
    ("progress", byteas, lambda one: one.task.progress),
)
_OF_PAST: Sequence[_Column] = (
    *_COMMON,
    ("finished_at", int8s, lambda one: one.task.finished_at),
    ("callback_due", int2s, lambda one: one.call_back),
    ("result", byteas, lambda one: one.task.result),
)
_NAMES = ", ".join(name for name, *_ in _COMMON)
_KEPT = ", ".join(name for name, *_ in _COMMON if name != "status")
_GIVEN = ", ".join(["%b"] * len(_COMMON))
_PAST = ", ".join(name for name, *_ in _OF_PAST)

LANES = """
    SELECT headrace_task_lane(owner, queue, type, priority, false)
    FROM unnest(%b, %b, %b, %b) WITH ORDINALITY AS g (owner, queue, type, priority, n) ORDER BY n
"""
# As `headrace_tasks_add` does it: of an owner's key the first of each queue and type is in front.
_BEHIND = """concurrency_key IS NOT NULL AND status = 1 AND (
        row_number() OVER (
            PARTITION BY owner, concurrency_key, queue, type, status ORDER BY priority DESC, id
        ) > 1
        OR EXISTS (
            SELECT FROM tasks o WHERE o.owner = t.owner AND o.concurrency_key = t.concurrency_key AND o.state = 1
                AND o.queue = t.queue AND o.type = t.type
        )
    )"""
ADD_LIVE = f"""
    WITH new AS (
        INSERT INTO tasks ({_KEPT}, state, lane, rank)
        SELECT {_KEPT}, CASE WHEN status = 0 THEN 0 WHEN behind THEN 2 ELSE 1 END, lane,
            pg_current_xact_id()::text::bigint
        FROM (
            SELECT *, {_BEHIND} AS behind FROM unnest({_GIVEN}, %b) AS t ({_NAMES}, lane)
        ) AS t
        ORDER BY id
        RETURNING id, lane, rank, state
    )
    INSERT INTO task_ready (lane, rank, id) SELECT lane, rank, id FROM new WHERE state = 1
"""
ADD_PAST = f"""
    INSERT INTO task_history ({_PAST})
    SELECT {_PAST.replace("callback_due", "callback_due = 1")}
    FROM unnest({_GIVEN}, %b, %b, %b) AS t ({_PAST}) ORDER BY id
"""
ADD_KEYS = """
    INSERT INTO task_keys (owner, key, id, fingerprint)
    SELECT * FROM unnest(%b, %b, %b, %b) AS k (owner, key, id, fingerprint) ORDER BY owner, key
"""
ADD_COUNTS = """
    INSERT INTO task_counts AS old (number, status, owner, queue, type)
    SELECT * FROM unnest(%b, %b, %b, %b, %b) AS c (number, status, owner, queue, type)
    ON CONFLICT (owner, queue, type, status) DO UPDATE SET number = old.number + excluded.number
"""
ADD_JOURNAL = """
    INSERT INTO task_journal (time, number, first_id, lines)
    SELECT time, number, first_id, lines
    FROM unnest(%b, %b, %b, %b) WITH ORDINALITY AS e (time, number, first_id, lines, n) ORDER BY n
"""
# Whoever is on this database too early begins nothing.
PAUSE = """
    INSERT INTO task_queues (name, paused) SELECT name, true FROM unnest(%b) AS q (name)
    ON CONFLICT (name) DO UPDATE SET paused = true
"""
SET_QUEUES = """
    INSERT INTO task_queues (name, paused, concurrency, rate_limit)
    SELECT name, paused = 1, concurrency, rate_limit
    FROM unnest(%b, %b, %b, %b) AS q (name, paused, concurrency, rate_limit)
    ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, concurrency = excluded.concurrency,
        rate_limit = excluded.rate_limit, tokens = NULL, counted_at = NULL
"""
NUMBER_ON = "SELECT setval('task_lease_numbers', greatest(last_value, %b)) FROM task_lease_numbers"
TOTALS = """
    SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM task_history), (SELECT count(*) FROM task_leases),
        (SELECT count(*) FROM task_schedules), (SELECT coalesce(sum(number), 0)::bigint FROM task_journal)
"""

Lane = tuple[str, str, str, int]


def lane_of(moved: MovedTask) -> Lane:
    task = moved.task
    return task.owner, task.queue, task.type, task.priority


def lanes(wanted: Sequence[Lane]) -> Sequence[object]:
    """Of LANES."""
    owners, queues, types, priorities = zip(*wanted, strict=True)
    return texts(owners), texts(queues), texts(types), int2s(priorities)


def live(tasks: Sequence[MovedTask], numbers: Iterable[int]) -> Sequence[object]:
    """Of ADD_LIVE; `numbers` are those of the lanes."""
    return [*_arrays(tasks, _COMMON), int8s(numbers)]


def past(tasks: Sequence[MovedTask]) -> Sequence[object]:
    """Of ADD_PAST."""
    return _arrays(tasks, _OF_PAST)


def keys(tasks: Sequence[MovedTask]) -> Sequence[object]:
    """Of ADD_KEYS."""
    return (
        texts([one.task.owner for one in tasks]), texts([one.idempotency_key for one in tasks]),
        uuids([one.task.id for one in tasks]), byteas([one.fingerprint or b"" for one in tasks]),
    )  # fmt: skip


def counts(tasks: Iterable[MovedTask]) -> Sequence[object]:
    """Of ADD_COUNTS."""
    found = Counter(
        (rows.NUMBERS[one.task.status], one.task.owner, one.task.queue, one.task.type) for one in tasks
    )
    statuses, owners, queues, types = zip(*found, strict=True)
    return int8s(found.values()), int2s(statuses), texts(owners), texts(queues), texts(types)


def _arrays(tasks: Sequence[MovedTask], columns: Sequence[_Column]) -> list[Array]:
    return [array([of(one) for one in tasks]) for _, array, of in columns]


def _searched(task: Task) -> str:
    begun = rows.words_of(task.type, task.args)
    if task.result is None and task.error is None:
        return begun
    return begun + rows.words_of_outcome(task.result, task.error)
