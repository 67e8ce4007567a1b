"""Whatever is done to tasks in whatever order, every adapter of `ports/tasks` is where a model of a page is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import Conflict
from headrace.model.task import FINISHED, RETRIABLE, Beat, Ending, NewTask, Outcome, Status, Task, TaskChanges, Wanted
from tests.contract.task_tables import GONE, LEASE, NOW, SECOND, TaskTable

_WAITING = (Status.SCHEDULED, Status.QUEUED)
_STEP = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 2), st.integers(0, 2), st.sampled_from((None, 1, 2)), st.booleans()),
    st.tuples(st.just("claim"), st.integers(1, 4)),
    st.tuples(st.just("finish"), st.integers(0, 30), st.sampled_from(tuple(Ending)), st.booleans(), st.booleans()),
    st.tuples(st.just("beat"), st.integers(0, 30), st.booleans()),
    st.tuples(st.sampled_from(("cancel", "retry", "delete")), st.integers(0, 30)),
    st.tuples(st.just("put_off"), st.integers(0, 30), st.booleans()),
    st.tuples(st.just("pass"), st.sampled_from((1, 40, GONE // SECOND))),
)
_runs = iter(range(10**9))


@dataclass
class _Modelled:
    """What the model knows of a task."""

    new: NewTask
    status: Status
    attempt: int = 0
    lease: int = 0
    until: int = 0
    run_at: int | None = None
    cancelled_at: int | None = None
    old: list[int] = field(default_factory=list)
    """Its leases that are over."""

    def stop(self, status: Status) -> None:
        if self.status is Status.RUNNING:
            self.old.append(self.lease)
        self.status, self.cancelled_at = status, None


class _Model:
    """Does each step to the table and to itself, and compares."""

    def __init__(self, table: TaskTable) -> None:
        self.table = table
        self.run = next(_runs)
        self.now = NOW + self.run * 10**5 * SECOND
        self.tasks: dict[int, _Modelled] = {}
        self.highest = 0

    async def step(self, what: str, *arguments: Any) -> None:
        await getattr(self, f"_{what}")(*arguments)

    async def compare(self) -> None:
        for id_, known in self.tasks.items():
            task = await self.table.get(id_)
            assert (task.status, task.attempt, task.lease) == (known.status, known.attempt, known.lease)
            assert task.cancelling == (known.cancelled_at is not None)
        owners = {known.new.owner for known in self.tasks.values()}
        for owner in owners:
            counted = {one.status: one.count for one in await self.table.tasks.counts(owner)}
            assert counted == Counter(known.status for known in self.tasks.values() if known.new.owner == owner)

    def _picked(self, at: int) -> _Modelled | None:
        known = list(self.tasks.values())
        return known[at % len(known)] if known else None

    async def _add(self, owner: int, key: int, attempts: int | None, later: bool) -> None:
        number = len(self.tasks) + self.run * 1000
        task = NewTask(
            (self.now // 1000) << 80 | 7 << 76 | 2 << 62 | number, f"model{self.run}", f"o{self.run}.{owner}", self.now,
            run_at=self.now + 20 * SECOND if later else None, max_attempts=attempts or 5,
            concurrency_key=str(key) if key else None, idempotency_key=str(number), priority=number % 3,
            queue=("default", "mail")[number // 2 % 2],
        )  # fmt: skip
        (added,) = await self.table.tasks.add([task], self.now)
        assert added.is_new
        again = msgspec.structs.replace(task, id=task.id + (1 << 40))
        assert [one.id for one in await self.table.tasks.add([again], self.now)] == [task.id]
        self.tasks[task.id] = _Modelled(task, _WAITING[not later], run_at=task.run_at)

    def _claimable(self) -> int:
        """How many tasks a claim could have: of each key one, unless one runs."""
        queued = [one for one in self.tasks.values() if one.status is Status.QUEUED]
        running = {_key(one) for one in self.tasks.values() if one.status is Status.RUNNING and one.new.concurrency_key}
        keys = {_key(one) for one in queued if one.new.concurrency_key} - running
        return len([one for one in queued if not one.new.concurrency_key]) + len(keys)

    async def _claim(self, limit: int) -> None:
        claimable = self._claimable()
        wanted = Wanted("model", limit, LEASE, types=frozenset((f"model{self.run}",)))
        claimed = await self.table.tasks.claim(wanted, self.now)
        assert len(claimed) == min(limit, claimable)
        for task in claimed:
            self._ran(self.tasks[task.id], task)
        keyed = [_key(one) for one in self.tasks.values() if one.status is Status.RUNNING and one.new.concurrency_key]
        assert len(keyed) == len(set(keyed))

    def _ran(self, known: _Modelled, task: Task) -> None:
        assert known.status is Status.QUEUED
        assert task.lease > self.highest
        self.highest = max(self.highest, task.lease)
        known.status, known.lease, known.attempt = Status.RUNNING, task.lease, known.attempt + 1
        known.until = self.now + int(LEASE) * SECOND

    async def _finish(self, at: int, ending: Ending, stale: bool, later: bool) -> None:
        known = self._picked(at)
        if known is None:
            return
        lease = known.old[-1] if stale and known.old else known.lease
        retry_at = self.now + 20 * SECOND if later else None
        (ended,) = await self.table.tasks.finish([Outcome(known.new.id, lease, ending, retry_at=retry_at)], self.now)
        assert (ended is not None) == (known.status is Status.RUNNING and lease == known.lease)
        if ended is None:
            return
        if ending in (Ending.SUCCEEDED, Ending.FAILED, Ending.CANCELLED):
            known.stop(Status(ending.value))
        elif known.cancelled_at is not None:
            known.stop(Status.CANCELLED)
        elif ending is Ending.RELEASED:
            known.stop(Status.QUEUED)
            known.attempt -= 1
        elif known.attempt >= known.new.max_attempts:
            known.stop(Status.DEAD)
        else:
            known.stop(_WAITING[not later])
            known.run_at = retry_at

    async def _beat(self, at: int, stale: bool) -> None:
        known = self._picked(at)
        if known is None:
            return
        lease = known.old[-1] if stale and known.old else known.lease
        (heard,) = await self.table.tasks.beat([Beat(known.new.id, lease)], LEASE, self.now)
        assert heard.held == (known.status is Status.RUNNING and lease == known.lease)
        if heard.held:
            assert heard.cancelling == (known.cancelled_at is not None)
            known.until = self.now + int(LEASE) * SECOND

    async def _cancel(self, at: int) -> None:
        known = self._picked(at)
        if known is None:
            return
        await self.table.tasks.cancel([known.new.id], self.now)
        if known.status in _WAITING:
            known.stop(Status.CANCELLED)
        elif known.status is Status.RUNNING and known.cancelled_at is None:
            known.cancelled_at = self.now

    async def _retry(self, at: int) -> None:
        known = self._picked(at)
        if known is None:
            return
        await self.table.tasks.retry([known.new.id], self.now)
        if known.status in RETRIABLE:
            known.stop(Status.QUEUED)
            known.attempt = 0

    async def _delete(self, at: int) -> None:
        known = self._picked(at)
        if known is None:
            return
        if known.status in FINISHED:
            assert await self.table.tasks.delete(known.new.id)
            del self.tasks[known.new.id]
        else:
            with pytest.raises(Conflict):
                await self.table.tasks.delete(known.new.id)

    async def _put_off(self, at: int, later: bool) -> None:
        known = self._picked(at)
        if known is None:
            return
        run_at = self.now + 20 * SECOND if later else None
        if known.status in _WAITING:
            await self.table.tasks.change(known.new.id, TaskChanges(run_at=run_at), self.now)
            known.stop(_WAITING[not later])
            known.run_at = run_at
        else:
            with pytest.raises(Conflict):
                await self.table.tasks.change(known.new.id, TaskChanges(run_at=run_at), self.now)

    async def _pass(self, seconds: int) -> None:
        """Time goes by, and the sweep comes. None of what it decides by lies within 2 s of a limit."""
        self.now += seconds * SECOND + len(self.tasks) % 2 * 5 * SECOND
        while (await self.table.tasks.sweep(self.now)).more:
            pass
        for known in self.tasks.values():
            if known.status is Status.SCHEDULED and known.run_at is not None and known.run_at <= self.now:
                known.stop(Status.QUEUED)
            elif known.status is Status.RUNNING:
                self._swept(known)

    def _swept(self, known: _Modelled) -> None:
        forced = known.cancelled_at is not None and known.cancelled_at + 30 * SECOND <= self.now
        if known.until <= self.now and known.cancelled_at is None:
            known.stop(Status.DEAD if known.attempt >= known.new.max_attempts else Status.QUEUED)
        elif forced or known.until <= self.now:
            known.stop(Status.CANCELLED)


def _key(known: _Modelled) -> tuple[str, str | None]:
    return known.new.owner, known.new.concurrency_key


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_STEP, min_size=5, max_size=40))
async def test_tasks_are_where_the_model_has_them(table: TaskTable, steps: list[tuple[Any, ...]]) -> None:
    model = _Model(table)
    for what, *arguments in steps:
        await model.step(what, *arguments)
    await model.compare()
