"""How a task lies in its row, and comes out of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from headrace.model.task import FINISHED, Retry, Status, Task

STATUSES: Final = tuple(Status)
SCHEDULED, QUEUED, RUNNING, SUCCEEDED, FAILED, DEAD, CANCELLED = range(7)
NUMBER: Final = {status: number for number, status in enumerate(STATUSES)}
RETRIABLE: Final = frozenset((SCHEDULED, FAILED, DEAD, CANCELLED))
FIRST_FINISHED: Final = min(NUMBER[status] for status in FINISHED)

COLUMNS: Final = (
    "id, lane, status, priority, attempt, max_attempts, lease, created_at, run_at, started_at, finished_at,"
    " leased_until, cancel_at, timeout, retry, concurrency_key, callback_url, error, progress, args, result"
)
"""What a Task is made of."""

Lane3 = tuple[str, str, str]
"""Queue, type and owner."""

_retry: Callable[[bytes], Retry] = msgspec.json.Decoder(Retry).decode
encode_retry: Callable[[Retry], bytes] = msgspec.json.Encoder().encode


def task_of(row: tuple[Any, ...], lane: Lane3) -> Task:
    """The task of a row of COLUMNS. 1.1 µs."""
    (
        id_, _, status, priority, attempt, max_attempts, lease, created_at, run_at, started_at, finished_at,
        leased_until, cancel_at, timeout, retry, concurrency_key, callback_url, error, progress, args, result,
    ) = row  # fmt: skip
    return Task(
        id=int.from_bytes(id_), type=lane[1], owner=lane[2], created_at=created_at, status=STATUSES[status], args=args,
        queue=lane[0], priority=priority, attempt=attempt, max_attempts=max_attempts, run_at=run_at, timeout=timeout,
        retry=None if retry is None else _retry(retry),
        concurrency_key=None if concurrency_key is None else concurrency_key.partition("\0")[2],
        callback_url=callback_url, started_at=started_at, finished_at=finished_at, result=result, error=error,
        progress=progress, cancelling=cancel_at is not None, lease=lease, leased_until=leased_until,
    )  # fmt: skip


def owned(owner: str, key: str | None) -> str | None:
    """A key as it is kept: owners do not meet in it."""
    return None if key is None else f"{owner}\0{key}"
