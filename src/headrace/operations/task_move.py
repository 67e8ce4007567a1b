"""Moves tasks, schedules and the journal of tasks: a part of `move`, in the same manner.

The journal goes before the tasks, so that what the move itself writes there comes after what happened before it.
"""

from __future__ import annotations

from contextlib import aclosing

import msgspec

from headrace.kit.ids import uuid7
from headrace.kit.read_ahead import read_ahead
from headrace.model.task import Status, Task
from headrace.model.task_journal import Change, Entry, lines_of
from headrace.model.task_move import MovedTask, TaskPage, TaskTotals
from headrace.ports.clock import Clock
from headrace.ports.move import Watcher
from headrace.ports.task_move import TaskPart, TasksFrom, TasksInto

_GONE = "its worker is gone"


class TaskMove:
    """`run` as often as it takes."""

    def __init__(self, here: TasksFrom, there: TasksInto, clock: Clock, watcher: Watcher) -> None:
        self._here = here
        self._there = there
        self._clock = clock
        self._watcher = watcher

    async def run(self, source: str) -> tuple[TaskTotals, TaskTotals]:
        """What there is on both sides then."""
        here = await self._here.totals()
        settings = await self._here.settings()
        self._watcher.stage("tasks", here.tasks, (await self._there.totals()).tasks)
        reached = await self._there.begin(source, settings)
        async for entries in self._here.journal(reached[TaskPart.JOURNAL]):
            await self._there.add_journal(entries)
        async with aclosing(read_ahead(self._here.pages(reached[TaskPart.TASKS]))) as pages:
            async for page in pages:
                await self._there.write(freed(page, self._clock.now()))
                self._watcher.advance(len(page.tasks))
        await self._there.finish(settings)
        # Each that was running has one more line there: what became of it.
        wanted = msgspec.structs.replace(here, running=0, changes=here.changes + here.running)
        return wanted, await self._there.totals()


def freed(page: TaskPage, now: int) -> TaskPage:
    """With no task running: whoever ran them is gone, and so they are queued again, or dead where this was the last
    attempt, or cancelled where they were asked to stop. As at the end of any lease, the attempt counts."""
    changes: list[Change] = []
    tasks = [
        one if one.task.status is not Status.RUNNING else _freed(one, now, changes) for one in page.tasks
    ]
    if not changes:
        return page
    entry = Entry(0, now, len(changes), uuid7(now), lines_of(changes, now))
    return TaskPage(page.after, page.upto, tasks, entry)


def _freed(moved: MovedTask, now: int, changes: list[Change]) -> MovedTask:
    task = moved.task
    status = _after(task)
    changes.append(Change(task.id, task.type, task.queue, task.owner, status, task.attempt, _GONE))
    free = msgspec.structs.replace(task, status=status, cancelling=False, leased_until=None)
    if status is Status.QUEUED:
        return msgspec.structs.replace(moved, task=free)
    ended = msgspec.structs.replace(free, finished_at=now, error=_GONE)
    return msgspec.structs.replace(moved, task=ended, call_back=task.callback_url is not None)


def _after(task: Task) -> Status:
    if task.cancelling:
        return Status.CANCELLED
    return Status.DEAD if task.attempt >= task.max_attempts else Status.QUEUED
