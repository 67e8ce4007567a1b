"""Queues of tasks: how much waits in each, pause, limits."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.errors import Invalid, ItemError
from headrace.model.principal import Principal
from headrace.model.task import QueueChanges, TaskQueue
from headrace.ports.tasks import Tasks
from headrace.tasks.rights import TaskRights
from headrace.tasks.wire import QUEUE_RULE, is_queue_name


class QueueDesk:
    """All raise Unavailable."""

    def __init__(self, tasks: Tasks, rights: TaskRights) -> None:
        self._tasks = tasks
        self._rights = rights

    async def list(self, principal: Principal) -> Sequence[TaskQueue]:
        """By name, with counts of the tasks that the caller sees; of others' queues nothing is told."""
        rights = await self._rights.of(principal)
        queues = await self._tasks.queues(rights.seen)
        if rights.sees_all:
            return queues
        return [queue for queue in queues if queue.queued or queue.scheduled or queue.running]

    async def change(self, principal: Principal, name: str, changes: QueueChanges) -> TaskQueue:
        """Pause it, or limit it. Raises Forbidden and Invalid."""
        (await self._rights.of(principal)).require_managing()
        check_queue_name(name)
        return await self._tasks.change_queue(name, changes)


def check_queue_name(name: str) -> None:
    """Raises Invalid."""
    if not is_queue_name(name):
        error = ItemError("invalid-queue", QUEUE_RULE, field="queue")
        raise Invalid(f"{QUEUE_RULE}.", code=error.code, items=[error])
