"""The desk of tasks: look, wait, change, cancel, retry, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from headrace.errors import Conflict, Invalid, Malformed
from headrace.kit.ids import format_id, parse_id, uuid7
from headrace.model.bucket import UNSET
from headrace.model.principal import Principal
from headrace.model.task import (
    FINISHED,
    RETRIABLE,
    NewTask,
    Status,
    Task,
    TaskChanges,
    TaskCount,
    TaskFilter,
)
from headrace.model.task_kind import TaskKind
from headrace.ports.clock import Clock
from headrace.ports.tasks import Tasks
from headrace.tasks.bulk import BULK_TYPE
from headrace.tasks.endings import Endings, There, always
from headrace.tasks.rights import Rights, TaskRights, id_of, unknown_task
from headrace.tasks.wire import Kinds, args_flaws

LOOK_AGAIN_SECONDS = 0.5  # for an end that comes about in another process
_BULK_ATTEMPTS = 20

Nudge = Callable[[Sequence[int]], None]


@dataclass(frozen=True, slots=True)
class TaskPage:
    """The newest first."""

    tasks: Sequence[Task]
    next_cursor: str | None


class TaskDesk:
    """Everybody has one's own tasks; more goes by the grants on `_tasks` (see tasks/rights).

    All raise NotFound for a task that the caller may not see, and Unavailable.
    """

    def __init__(
        self,
        tasks: Tasks,
        rights: TaskRights,
        endings: Endings,
        kinds: Kinds,
        clock: Clock,
        nudge: Nudge,
        journaled: Callable[[], None],
    ) -> None:
        """`nudge` is told of tasks that were asked to stop: whoever runs them here need not wait for a heartbeat.
        `journaled` is called when something was written."""
        self._journaled = journaled
        self._tasks = tasks
        self._rights = rights
        self._endings = endings
        self._kinds = kinds
        self._clock = clock
        self._nudge = nudge

    async def get(self, principal: Principal, id: str, wait: float = 0.0, there: There = always) -> Task:
        """The task; if it is unfinished, as it is at its end, or after `wait` seconds, or when nobody is `there`."""
        rights, number = await self._rights.of(principal), id_of(id)
        until = self._clock.monotonic() + wait
        with self._endings.listening(number) as ending:
            while True:
                task = rights.check(await self._tasks.get(number), id)
                left = until - self._clock.monotonic()
                if task.status in FINISHED or left <= 0 or self._endings.stopped or not there():
                    return task
                await ending.wait(min(left, LOOK_AGAIN_SECONDS))

    def stop(self) -> None:
        """Let nobody wait any longer, here or for a lease: for good."""
        self._endings.stop()

    async def list(
        self, principal: Principal, filter: TaskFilter, *, limit: int, cursor: str | None = None, offset: int = 0
    ) -> TaskPage:
        """A page of those that match. Raises Malformed for a cursor that is not one of ours."""
        seen = await self._narrowed(principal, filter)
        if seen is None:
            return TaskPage((), None)
        before = None if cursor is None else _position(cursor)
        found = await self._tasks.find(seen, limit=limit + 1, before=before, offset=offset)
        more = len(found) > limit
        return TaskPage(found[:limit], format_id(found[limit - 1].id) if more else None)

    async def counts(self, principal: Principal, owner: str | None = None) -> Sequence[TaskCount]:
        """How many of those that the caller sees there are, by type and status; with `owner` of that one's alone."""
        seen = (await self._rights.of(principal)).seen
        if owner is not None and seen not in (None, owner):
            return ()
        return await self._tasks.counts(owner or seen)

    async def rights(self, principal: Principal) -> Rights:
        """What this caller may see and do. Raises Forbidden for a viewer token."""
        return await self._rights.of(principal)

    @property
    def handled(self) -> Sequence[TaskKind]:
        """The types that have a handler here and that can be submitted, by name."""
        return sorted((kind for name, kind in self._kinds.items() if name != BULK_TYPE), key=lambda kind: kind.name)

    async def change(self, principal: Principal, id: str, changes: TaskChanges) -> Task:
        """Other args, priority or time, while it is scheduled or queued. Raises Conflict and Invalid."""
        task = await self._mine(principal, id)
        if changes.args is not UNSET and (errors := list(args_flaws(task.type, changes.args, self._kinds))):
            raise Invalid(errors[0].detail, code="invalid-task", items=errors)
        if changes.args is not UNSET and (kind := self._kinds.get(task.type)) is not None and kind.permit is not None:
            await kind.permit(principal, changes.args)
        try:
            changed = await self._tasks.change(task.id, changes, self._clock.now())
        except Conflict as exc:
            raise Conflict(exc.detail, code="task-state") from exc
        self._journaled()
        if changed is None:
            raise unknown_task(id)
        return changed

    async def cancel(self, principal: Principal, id: str) -> Task:
        """At once while it waits; a running one is asked to stop. Raises Conflict when it is finished."""
        task = await self._mine(principal, id)
        if task.status in FINISHED and task.status is not Status.CANCELLED:
            raise _finished(task, "cancelled")
        return _there((await self.cancel_all([task.id]))[0], id)

    async def cancel_all(self, ids: Sequence[int]) -> Sequence[Task | None]:
        """Without asking whose they are."""
        tasks = await self._tasks.cancel(ids, self._clock.now())
        self._journaled()
        self._endings.tell(task.id for task in tasks if task is not None and task.status in FINISHED)
        if running := [task.id for task in tasks if task is not None and task.cancelling]:
            self._nudge(running)
        return tasks

    async def retry(self, principal: Principal, id: str) -> Task:
        """Once more, from the first attempt on, under its old id. Raises Conflict unless it is failed, dead, cancelled,
        or waits for a later time."""
        task = await self._mine(principal, id)
        if task.status not in RETRIABLE:
            raise Conflict(
                f"Task {format_id(task.id)} is {task.status.value}: only a task that is failed, dead, cancelled or "
                "scheduled can be tried again.",
                code="task-state",
            )
        (again,) = await self._tasks.retry([task.id], self._clock.now())
        self._journaled()
        return _there(again, id)

    async def delete(self, principal: Principal, id: str) -> Task:
        """A finished one, for good. Raises Conflict while it is unfinished."""
        task = await self._mine(principal, id)
        try:
            if not await self._tasks.delete(task.id):
                raise unknown_task(id)
        except Conflict as exc:
            raise Conflict(exc.detail, code="task-state") from exc
        return task

    async def bulk(self, principal: Principal, action: str, filter: TaskFilter) -> Task:
        """A task that cancels or retries all that match, of those that the caller may change."""
        rights = await self._rights.of(principal)
        now = self._clock.now()
        managed = filter if rights.manages_all else msgspec.structs.replace(filter, owner=rights.owner)
        args = {"action": action, "filter": msgspec.to_builtins(managed), "before": now}
        if filter.owner not in (None, rights.owner) and not rights.manages_all:
            raise Invalid("owner: these are somebody else's tasks, which this credential may not change.")
        new = NewTask(
            id=uuid7(now), type=BULK_TYPE, owner=rights.owner, created_at=now, args=msgspec.json.encode(args),
            max_attempts=_BULK_ATTEMPTS,
        )  # fmt: skip
        await self._tasks.add([new], now)
        self._journaled()
        return _there(await self._tasks.get(new.id), format_id(new.id))

    async def _mine(self, principal: Principal, id: str) -> Task:
        rights = await self._rights.of(principal)
        return rights.check(await self._tasks.get(id_of(id)), id, changing=True)

    async def _narrowed(self, principal: Principal, filter: TaskFilter) -> TaskFilter | None:
        """What of `filter` the caller may see; None: nothing."""
        rights: Rights = await self._rights.of(principal)
        if rights.sees_all or filter.owner == rights.owner:
            return filter
        return msgspec.structs.replace(filter, owner=rights.owner) if filter.owner is None else None


def _finished(task: Task, what: str) -> Conflict:
    return Conflict(
        f"Task {format_id(task.id)} is {task.status.value} already and cannot be {what}.", code="task-state"
    )


def _there(task: Task | None, id: str) -> Task:
    if task is None:
        raise unknown_task(id)
    return task


def _position(cursor: str) -> int:
    try:
        return parse_id(cursor)
    except ValueError:
        raise Malformed("This is no cursor of ours: send `next_cursor` of the page before as it was.") from None

