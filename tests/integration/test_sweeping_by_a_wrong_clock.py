"""The sweeper over the real table, when the time of day is set, and when it could not sweep for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.kit.ids import uuid7
from headrace.model.task import Beat, NewTask, Status, Task, Wanted
from headrace.tasks import upkeep
from headrace.tasks.endings import Endings
from headrace.tasks.upkeep import Sweeper
from tests.support.task_clock import TaskClock

_DAY = 86_400.0


class Stage:
    def __init__(self, tasks: SqliteTasks) -> None:
        self.clock = TaskClock()
        self.tasks = tasks
        self.sweeper = Sweeper(tasks, Endings(), self.clock, lambda: None)

    async def lease(self) -> Task:
        now = self.clock.now()
        await self.tasks.add([NewTask(uuid7(now), "x", "o", now, b"{}")], now)
        (task,) = await self.tasks.claim(Wanted("me", 1, 15.0), now)
        return task

    async def pass_seconds(self, seconds: int, task: Task) -> Status:
        """With a sweep each second."""
        return [await self.sweep_after(1, task) for _ in range(seconds)][-1]

    async def sweep_after(self, seconds: float, task: Task) -> Status:
        """What the task is then."""
        self.clock.move(seconds)
        await self.sweeper.step()
        found = await self.tasks.get(task.id)
        assert found is not None
        return found.status


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(upkeep, "_SWEEP_SECONDS", 0.0)  # between two sweeps only the clock of the test goes on
    tasks = await SqliteTasks.open(tmp_path / "tasks.db")
    yield Stage(tasks)
    await tasks.close()


async def test_a_clock_set_forward_ends_no_lease_of_somebody_who_works(stage: Stage) -> None:
    task = await stage.lease()
    stage.clock.set_wrong(_DAY)
    assert await stage.sweep_after(1, task) is Status.RUNNING
    await stage.tasks.beat([Beat(task.id, task.lease)], 100.0, stage.clock.now())
    assert await stage.pass_seconds(70, task) is Status.RUNNING


async def test_a_clock_set_forward_keeps_no_lease_of_somebody_who_is_gone(stage: Stage) -> None:
    task = await stage.lease()
    stage.clock.set_wrong(_DAY)
    assert await stage.sweep_after(1, task) is Status.RUNNING
    assert await stage.pass_seconds(16, task) is Status.QUEUED


async def test_a_lease_that_was_given_by_the_new_time_ends_half_a_minute_later_at_most(stage: Stage) -> None:
    stage.clock.set_wrong(_DAY)
    await stage.sweeper.step()
    task = await stage.lease()
    assert await stage.pass_seconds(29, task) is Status.RUNNING
    assert await stage.pass_seconds(2, task) is Status.QUEUED


async def test_who_works_keeps_its_lease_when_nobody_could_sweep_nor_beat_for_longer_than_that(stage: Stage) -> None:
    task = await stage.lease()
    assert await stage.sweep_after(40, task) is Status.RUNNING
    await stage.tasks.beat([Beat(task.id, task.lease)], 15.0, stage.clock.now())
    assert await stage.pass_seconds(14, task) is Status.RUNNING


async def test_who_is_gone_loses_its_lease_soon_after_nobody_could_sweep(stage: Stage) -> None:
    task = await stage.lease()
    assert await stage.sweep_after(40, task) is Status.RUNNING
    assert await stage.pass_seconds(15, task) is Status.QUEUED
