"""Both sides of a move of all tasks to another profile (see ports/move).

A page is stored in one transaction with the position that was reached, so that a move that was killed goes on where it
was, and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import Protocol

from headrace.model.task_move import JournalPage, TaskPage, TaskSettings, TaskTotals
from headrace.ports.move import Into


class TaskPart(StrEnum):
    """What moves page by page, each with a position of its own."""

    JOURNAL = "task_journal"
    TASKS = "tasks"


class TasksFrom(Protocol):
    """A task table that nobody uses. Raises Unavailable, Unusable and NewerFormat."""

    async def totals(self) -> TaskTotals:
        """What there is."""

    async def settings(self) -> TaskSettings:
        """Queues, schedules, and what else is no task."""

    def journal(self, after: int) -> AsyncIterator[JournalPage]:
        """What was not forwarded yet, in pages that fit into memory."""

    def pages(self, after: int) -> AsyncIterator[TaskPage]:
        """All tasks in the order of their positions, in pages that fit into memory."""


class TasksInto(Into, Protocol):
    async def begin(self, source: str, settings: TaskSettings) -> Mapping[TaskPart, int]:
        """From now on it belongs to this move; the positions reached. Until `finish` nothing is claimed there."""

    async def add_journal(self, page: JournalPage) -> None:
        """These entries, under the ids that their events have."""

    async def write(self, page: TaskPage) -> None:
        """Tasks as they are; none of them is running. Of a concurrency key one is in front."""

    async def finish(self, settings: TaskSettings) -> None:
        """Queues as they were set, the schedules, and no lease number up to the last one is ever given again."""

    async def totals(self) -> TaskTotals:
        """What there is."""
