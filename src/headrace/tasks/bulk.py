"""The task that cancels or retries many tasks: what `POST /v1/tasks/bulk` leaves behind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from headrace.errors import Forbidden
from headrace.model.principal import Principal
from headrace.model.task import FINISHED, RETRIABLE, UNFINISHED, Status, Task, TaskFilter
from headrace.model.task_kind import TaskKind
from headrace.ports.clock import Clock
from headrace.ports.crew import Attempt
from headrace.ports.tasks import Tasks

BULK_TYPE = "tasks.bulk"
_PAGE = 500
_DEFAULT = {"cancel": UNFINISHED, "retry": RETRIABLE - {Status.SCHEDULED}}
"""What is meant where the filter names no status."""


def bulk_kind() -> TaskKind:
    """Nobody submits one: who may change which tasks is decided where it is asked for (see tasks/desk)."""
    return TaskKind(BULK_TYPE, lambda raw: (), house=True, description="Cancel or retry many tasks.", permit=_refuse)


async def _refuse(principal: Principal, args: bytes) -> None:  # noqa: ARG001 - whoever asks, and whatever for
    raise Forbidden("Ask for it with POST /v1/tasks/bulk.", code="not-submitted")


class Bulk:
    """Can be begun anew at any time: what was done already is left alone the second time."""

    def __init__(
        self, tasks: Tasks, cancel: Callable[[Sequence[int]], Awaitable[Sequence[Task | None]]], clock: Clock
    ) -> None:
        self._tasks = tasks
        self._cancel = cancel
        self._clock = clock

    async def run(self, attempt: Attempt, args: Mapping[str, Any]) -> object:
        """`{"matched": …, "changed": …}`."""
        action: str = args["action"]
        asked = msgspec.convert(args["filter"], TaskFilter)
        wanted = msgspec.structs.replace(
            asked,
            statuses=asked.statuses or tuple(sorted(_DEFAULT[action])),
            until=args["before"] if asked.until is None else min(asked.until, args["before"]),
        )
        matched = changed = 0
        before: int | None = None
        while page := await self._tasks.find(wanted, limit=_PAGE, before=before):
            ids = [task.id for task in page if task.id != attempt.task.id]
            tasks = await (self._cancel(ids) if action == "cancel" else self._retry(ids))
            matched += len(ids)
            changed += sum(_was_changed(action, task) for task in tasks)
            before = page[-1].id
            attempt.progress({"matched": matched, "changed": changed})
        return {"matched": matched, "changed": changed}

    async def _retry(self, ids: Sequence[int]) -> Sequence[Task | None]:
        return await self._tasks.retry(ids, self._clock.now())


def _was_changed(action: str, task: Task | None) -> bool:
    if task is None:
        return False
    if action == "cancel":
        return task.cancelling or task.status is Status.CANCELLED
    return task.status not in FINISHED
