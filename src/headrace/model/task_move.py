"""What is handed over when tasks move to another profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec

from headrace.model.schedule import Schedule
from headrace.model.task import Task, TaskQueue
from headrace.model.task_journal import Entry


class MovedTask(msgspec.Struct, frozen=True, gc=False):
    """A task with what no reader of tasks sees of it."""

    task: Task
    idempotency_key: str | None = None
    fingerprint: bytes | None = None
    """Of the request that brought the key."""
    call_back: bool = False
    """It has ended, and its callback was not seen to."""


class TaskPage(msgspec.Struct, frozen=True):
    """The tasks with positions above `after` up to `upto`. `entry`: what the move itself has made of them."""

    after: int
    upto: int
    tasks: Sequence[MovedTask]
    entry: Entry | None = None


class JournalPage(msgspec.Struct, frozen=True):
    """The entries with positions above `after`, in order; never empty."""

    after: int
    entries: Sequence[Entry]

    @property
    def upto(self) -> int:
        return self.entries[-1].seq


class TaskTotals(msgspec.Struct, frozen=True):
    """How much there is. `changes`: the events that the entries of the journal hold."""

    tasks: int = 0
    running: int = 0
    schedules: int = 0
    changes: int = 0


class TaskSettings(msgspec.Struct, frozen=True):
    """Everything about tasks that is not one: few rows, moved at once. `days`: how many of those that ended have ids of
    which UTC day; `last_lease`: the highest number that a claim was given."""

    queues: Sequence[TaskQueue] = ()
    schedules: Sequence[Schedule] = ()
    last_lease: int = 0
    days: Mapping[date, int] = {}
