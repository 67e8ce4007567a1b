"""The part of the task table that is about queues and counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.adapters.postgres import _task_rows as rows
from headrace.adapters.postgres._task_statements import CHANGE_QUEUE, COUNTS, QUEUES
from headrace.adapters.postgres._task_word import Word
from headrace.model.bucket import UNSET
from headrace.model.task import QueueChanges, TaskCount, TaskQueue


class Server(Protocol):
    """What the parts of the table need of it."""

    word: Word

    async def run(self, statement: str, values: rows.Values, point: str = "") -> rows.Rows: ...

    async def ask(self, statement: str, values: rows.Values) -> rows.Rows: ...


class PostgresQueues:
    """Of `ports.tasks.Tasks`."""

    async def queues(self: Server, owner: str | None = None) -> Sequence[TaskQueue]:
        """See the port. Costs as much as there are owners and types, however many tasks."""
        return [TaskQueue(*row) for row in await self.ask(QUEUES, {"owner": owner, "name": None})]

    async def change_queue(self: Server, name: str, changes: QueueChanges) -> TaskQueue:
        """See the port."""
        values = {
            "name": name,
            "paused": None if changes.paused is UNSET else changes.paused,
            "concurrency": None if changes.concurrency is UNSET else changes.concurrency,
            "sets_concurrency": changes.concurrency is not UNSET,
            "rate_limit": None if changes.rate_limit is UNSET else changes.rate_limit,
            "sets_rate": changes.rate_limit is not UNSET,
        }
        await self.run(CHANGE_QUEUE, values)
        self.word.tell()
        (row,) = await self.ask(QUEUES, {"owner": None, "name": name})
        return TaskQueue(*row)

    async def counts(self: Server, owner: str | None = None) -> Sequence[TaskCount]:
        """See the port."""
        found = await self.ask(COUNTS, {"owner": owner})
        return [TaskCount(kind, rows.STATUSES[status], count) for kind, status, count in found]
