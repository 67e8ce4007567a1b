"""Tasks as parameters of `headrace_tasks_add`, and rows of task_live and task_past as tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.string import ByteaBinaryLoader

from headrace.adapters.postgres._task_arrays import byteas, float8s, int2s, int4s, int8s, texts, uuids
from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.search_text import joined
from headrace.model.task import SEARCHED_CHARS, NewTask, Outcome, Retry, Status, Task

STATUSES = (
    Status.SCHEDULED, Status.QUEUED, Status.RUNNING, Status.SUCCEEDED, Status.FAILED, Status.DEAD, Status.CANCELLED,
)  # fmt: skip
"""By their numbers in the tables."""
NUMBERS = {status: number for number, status in enumerate(STATUSES)}

Rows = Sequence[tuple[Any, ...]]
Values = Sequence[object] | Mapping[str, object]

_encode = msgspec.json.Encoder().encode
_decode_retry = msgspec.json.Decoder(Retry).decode


async def fetch(connection: Connection, statement: str, params: Any) -> Rows:
    """Every row; UUIDs as bytes, an eighth of what objects cost."""
    cursor = connection.cursor(binary=True)
    cursor.adapters.register_loader("uuid", ByteaBinaryLoader)
    await cursor.execute(statement.encode(), params)
    return await cursor.fetchall() if cursor.description else ()


def task_of(row: tuple[Any, ...]) -> Task:
    """Of a row of COLUMNS, as `fetch` has it."""
    (
        task_id, kind, owner, created_at, status, args, queue, priority, attempt, max_attempts, run_at, timeout, retry,
        concurrency_key, callback_url, started_at, finished_at, result, error, progress, cancelling, lease,
        leased_until,
    ) = row  # fmt: skip
    return Task(
        int.from_bytes(task_id), kind, owner, created_at, STATUSES[status], args, queue, priority, attempt,
        max_attempts, run_at, timeout, None if retry is None else _decode_retry(retry), concurrency_key, callback_url,
        started_at, finished_at, result, error, progress, cancelling, lease, leased_until,
    )  # fmt: skip


def searched(task: NewTask) -> str:
    """What `q` looks through."""
    return words_of(task.type, task.args)


def words_of(kind: str, args: bytes) -> str:
    return joined((kind, _beginning(args)))


def said(outcome: Outcome) -> str:
    """What `q` looks through of an outcome."""
    return words_of_outcome(outcome.result, outcome.error)


def words_of_outcome(result: bytes | None, error: str | None) -> str:
    return joined((_beginning(result or b""), stored_text((error or "")[:SEARCHED_CHARS])))


def _beginning(json: bytes) -> str:
    return stored_text(json[: 4 * SEARCHED_CHARS].decode(errors="replace")[:SEARCHED_CHARS])


def stored_text(text: str) -> str:
    """What PostgreSQL can keep as text: an error may quote anything."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if text.isascii() else text.encode(errors="replace").decode()


def added(tasks: Sequence[NewTask], now: int) -> Sequence[object]:
    """Of `headrace_tasks_add`, for tasks with different ids. What tasks have in common is sent once."""
    places = sorted(range(len(tasks)), key=lambda place: tasks[place].id)
    ordered = [tasks[place] for place in places]
    shared = [_shared(task) for task in ordered]
    groups = sorted(set(shared), key=_lane)
    numbers = {group: number for number, group in enumerate(groups, 1)}
    keyed = any(task.idempotency_key is not None for task in ordered)
    return (
        now,
        uuids([task.id for task in ordered]),
        int8s([task.created_at for task in ordered]),
        int4s([numbers[one] for one in shared]),
        byteas([task.args for task in ordered]),
        texts([searched(task) for task in ordered]),
        int8s([task.run_at for task in ordered]) if any(task.run_at is not None for task in ordered) else None,
        texts([task.concurrency_key for task in ordered]) if any(task.concurrency_key for task in ordered) else None,
        texts([task.idempotency_key for task in ordered]) if keyed else None,
        byteas([task.fingerprint for task in ordered]) if keyed else None,
        int4s(places) if keyed else None,
        texts([group[0] for group in groups]),
        texts([group[1] for group in groups]),
        texts([group[2] for group in groups]),
        int2s([group[3] for group in groups]),
        int4s([group[4] for group in groups]),
        float8s([group[5] for group in groups]),
        byteas([None if group[6] is None else _encode(group[6]) for group in groups]),
        texts([group[7] for group in groups]),
    )


def uuid(value: int) -> UUID:
    return UUID(int=value)


_Shared = tuple[str, str, str, int, int, float | None, Retry | None, str | None]


def _shared(task: NewTask) -> _Shared:
    return (
        task.type, task.owner, task.queue, task.priority, task.max_attempts, task.timeout, task.retry, task.callback_url
    )  # fmt: skip


def _lane(group: _Shared) -> tuple[str, str, str, int]:
    """Lanes are made in one order, so that nobody waits in a ring."""
    return (group[1], group[2], group[0], group[3])
