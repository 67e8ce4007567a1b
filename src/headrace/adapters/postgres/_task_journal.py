"""The part of the task table that is read by others: callbacks that are due, and the journal.

An entry is kept as the statuses that tasks came into; its lines are made when it is forwarded. Of an array whose
elements are all alike there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.adapters.postgres import _task_rows as rows
from headrace.adapters.postgres._task_arrays import uuids
from headrace.adapters.postgres._task_queues import Server
from headrace.adapters.postgres._task_statements import CALLBACKS, CALLED_BACK, FORWARDED, JOURNAL, LOG
from headrace.model.task import Task
from headrace.model.task_journal import Change, Entry, Line, lines_of, logged


class PostgresJournal:
    """Of `ports.tasks.Tasks`."""

    async def callbacks(self: Server, limit: int) -> Sequence[Task]:
        """See the port."""
        return [rows.task_of(row) for row in await self.ask(CALLBACKS, {"limit": limit})]

    async def called_back(self: Server, ids: Sequence[int]) -> None:
        """See the port."""
        if ids:
            await self.run(CALLED_BACK, {"ids": uuids(ids)})

    async def log(self: Server, lines: Sequence[Line]) -> None:
        """See the port."""
        if lines:
            await self.run(LOG, {"time": lines[0].time, "number": len(lines), "lines": logged(lines)})

    async def journal(self: Server, limit: int) -> Sequence[Entry]:
        """See the port."""
        return [_entry(*row) for row in await self.ask(JOURNAL, {"limit": limit})]

    async def forwarded(self: Server, seqs: Sequence[int]) -> None:
        """See the port. Not waited for: after a crash of the server they are forwarded once more, under their ids."""
        if seqs:
            await self.run(FORWARDED, {"seqs": list(seqs)})


def _entry(seq: int, time: int, number: int, first_id: bytes, *parts: Any) -> Entry:
    ids, types, queues, owners, statuses, attempts, details, lines = parts
    if lines is None:
        columns = [_each(values, number) for values in (types, queues, owners, statuses, attempts, details or [None])]
        changes = [
            Change(int.from_bytes(task), kind, queue, owner, rows.STATUSES[status], attempt, detail)
            for task, kind, queue, owner, status, attempt, detail in zip(ids, *columns, strict=True)
        ]
        lines = lines_of(changes, time)
    return Entry(seq, time, number, int.from_bytes(first_id), lines)


def _each(values: list[Any], number: int) -> list[Any]:
    """What all have in common is kept once."""
    return values * number if len(values) == 1 else values
