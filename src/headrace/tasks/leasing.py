"""Leasing over HTTP: how a program in any language runs tasks. It holds a task while it beats, and ends it by the
number of its lease; whoever has lost the lease is told so."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.errors import Conflict, Invalid, ItemError
from headrace.kit.backoff import backoff
from headrace.kit.ids import format_id
from headrace.kit.times import SECOND
from headrace.model.metric import TASKS_CLAIMED
from headrace.model.principal import Principal
from headrace.model.task import (
    MAX_RESULT_BYTES,
    Beat,
    Ending,
    Heard,
    Outcome,
    Retry,
    Task,
    Wanted,
)
from headrace.model.task_journal import Line
from headrace.ports.clock import Clock
from headrace.ports.metrics import Metrics
from headrace.ports.tasks import Tasks
from headrace.tasks.endings import Endings, There, always
from headrace.tasks.finishing import Finishing
from headrace.tasks.rights import TaskRights, id_of
from headrace.tasks.wire import Kinds

LEASE_SECONDS = 60.0
MAX_ERROR = 8_192
MAX_PROGRESS_BYTES = 16 * 1024
_LOOK_AGAIN_SECONDS = 1.0


class LogLine(msgspec.Struct, frozen=True):
    """What a worker says about its task."""

    message: str
    level: str = "info"
    attributes: bytes = b""


class LeaseDesk:
    """A caller leases its own tasks, or everybody's with `manage` on `_tasks`.

    All but `lease` raise NotFound for a task that the caller may not see, and Conflict `lease-lost`.
    """

    def __init__(
        self,
        tasks: Tasks,
        rights: TaskRights,
        finishing: Finishing,
        endings: Endings,
        kinds: Kinds,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._endings = endings
        self._tasks = tasks
        self._rights = rights
        self._finishing = finishing
        self._kinds = kinds
        self._clock = clock
        self._metrics = metrics

    async def lease(
        self,
        principal: Principal,
        queue: str,
        *,
        most: int = 1,
        seconds: float = LEASE_SECONDS,
        wait: float = 0.0,
        types: frozenset[str] | None = None,
        there: There = always,
    ) -> Sequence[Task]:
        """Up to `most` tasks, the highest priority first; without any, after `wait` seconds at most.

        Who is no longer `there` gets none: what was claimed meanwhile is given back.
        """
        owner = (await self._rights.of(principal)).managed
        wanted = Wanted(f"http:{principal.id}", most, seconds, queue=queue, types=types, owner=owner)
        until = self._clock.monotonic() + wait
        while True:
            seen = self._tasks.news
            tasks = await self._tasks.claim(wanted, self._clock.now())
            left = until - self._clock.monotonic()
            if tasks or left <= 0 or self._endings.stopped or not there():
                break
            await self._tasks.wait(min(left, _LOOK_AGAIN_SECONDS), seen)
        if tasks and not there():
            await self._finishing([Outcome(task.id, task.lease, Ending.RELEASED) for task in tasks])
            return ()
        if tasks:
            self._metrics.add(TASKS_CLAIMED, len(tasks), "http")
        return sorted(tasks, key=lambda task: (-task.priority, task.id))

    async def heartbeat(
        self,
        principal: Principal,
        id: str,
        lease: int,
        *,
        seconds: float = LEASE_SECONDS,
        progress: bytes | None = None,
        logs: Sequence[LogLine] = (),
    ) -> Heard:
        """The lease lasts for so long from now."""
        task = await self._leased(principal, id, lease)
        await self._log(task, logs)
        (heard,) = await self._tasks.beat([Beat(task.id, lease, progress)], seconds, self._clock.now())
        if not heard.held:
            raise _lost(task)
        return heard

    async def complete(
        self, principal: Principal, id: str, lease: int, result: bytes | None, logs: Sequence[LogLine] = ()
    ) -> Task:
        """It succeeded. `result` is JSON."""
        if result is not None and len(result) > MAX_RESULT_BYTES:
            error = ItemError("result-too-large", f"`result` may have {MAX_RESULT_BYTES} bytes as JSON", field="result")
            raise Invalid(error.detail, code=error.code, items=[error])
        task = await self._leased(principal, id, lease)
        await self._log(task, logs)
        return await self._end(task, Outcome(task.id, lease, Ending.SUCCEEDED, result=result))

    async def fail(
        self,
        principal: Principal,
        id: str,
        lease: int,
        error: str,
        *,
        permanent: bool = False,
        retry_after: float | None = None,
        logs: Sequence[LogLine] = (),
    ) -> Task:
        """It did not: tried again later, or not (`permanent`)."""
        task = await self._leased(principal, id, lease)
        await self._log(task, logs)
        if task.cancelling:
            return await self._end(task, Outcome(task.id, lease, Ending.CANCELLED, error=error))
        if permanent:
            return await self._end(task, Outcome(task.id, lease, Ending.FAILED, error=error))
        known = self._kinds.get(task.type)
        at = retry_at(task, self._clock.now(), known.retry if known else Retry(), retry_after)
        return await self._end(task, Outcome(task.id, lease, Ending.RETRY, error=error, retry_at=at))

    async def release(self, principal: Principal, id: str, lease: int) -> Task:
        """Given back untouched: the attempt does not count."""
        task = await self._leased(principal, id, lease)
        return await self._end(task, Outcome(task.id, lease, Ending.RELEASED))

    async def _leased(self, principal: Principal, id: str, lease: int) -> Task:
        rights = await self._rights.of(principal)
        task = rights.check(await self._tasks.get(id_of(id)), id, changing=True)
        if task.lease != lease:
            raise _lost(task)
        return task

    async def _end(self, task: Task, outcome: Outcome) -> Task:
        (ended,) = await self._finishing([outcome])
        if ended is None:
            raise _lost(task)
        return ended

    async def _log(self, task: Task, logs: Sequence[LogLine]) -> None:
        now = self._clock.now()
        lines = [
            Line(task.id, task.type, task.queue, task.owner, task.attempt, now, one.level, one.message, one.attributes)
            for one in logs
        ]
        if lines:
            await self._tasks.log(lines)


def retry_at(task: Task, now: int, policy: Retry, after: float | None = None) -> int:
    """When a task is tried again whose attempt has just failed: as it says itself, else by `policy`."""
    rule = task.retry or policy
    seconds = backoff(max(1, task.attempt), rule.first, rule.factor, rule.longest) if after is None else after
    return now + round(seconds * SECOND)


def _lost(task: Task) -> Conflict:
    return Conflict(
        f"This lease of task {format_id(task.id)} does not hold: it ran out, or the task has ended. Do nothing more "
        "for it; lease again.",
        code="lease-lost",
    )
