"""Schedules, kept beside the tasks, so that a firing and its task are one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.schedule import Schedule, ScheduleChanges
from headrace.model.task import NewTask


class Schedules(Protocol):
    """Raises Unavailable when the store cannot be reached."""

    async def create(self, schedule: Schedule) -> None:
        """Raises Conflict when the owner has one of this name."""

    async def get(self, id: int) -> Schedule | None:
        """The schedule, if there is one."""

    async def list(self, owner: str | None = None) -> Sequence[Schedule]:
        """By name."""

    async def update(self, id: int, changes: ScheduleChanges) -> Schedule | None:
        """As it is then, None if there is none. Raises Conflict when the owner has another one of the new name."""

    async def delete(self, id: int) -> bool:
        """Whether there was one."""

    async def due(self, before: int, limit: int) -> Sequence[Schedule]:
        """Enabled ones whose `next_at` is at or before this time, the earliest first."""

    async def next_at(self) -> int | None:
        """The earliest `next_at` of those that are enabled."""

    async def fire(
        self, schedule: Schedule, tasks: Sequence[NewTask], next_at: int | None, now: int
    ) -> Sequence[int] | None:
        """Adds the tasks (as `Tasks.add`: each has an idempotency key made of the schedule and the firing's time, so
        that no firing makes two) and moves the schedule on to `next_at`, in one transaction; the ids of those that were
        new. If there are any, `last_at` is `now` and `last_task` the last of them.

        None, with nothing changed, if the schedule is gone, disabled, or its `next_at` is no longer that of `schedule`:
        another process was first.
        """
