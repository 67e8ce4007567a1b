"""The runner over the real table, when its process was stopped, or its clock moved, for longer than its leases last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.kit.ids import uuid7
from headrace.model.task import Ending, NewTask, Status, Task
from headrace.ports.crew import Ended, Report
from headrace.tasks.endings import Endings
from headrace.tasks.finishing import Finishing
from headrace.tasks.runner import LEASE_SECONDS, Runner
from tests.support.task_clock import TaskClock


class Crew:
    """Runs what it is given until the test ends it."""

    types = frozenset({"x"})

    def __init__(self) -> None:
        self.running: list[Task] = []
        self.stopped: list[int] = []
        self.told: list[Report] = []
        self.twice = False

    def room(self) -> int:
        return 10

    def run(self, tasks: Sequence[Task]) -> None:
        self.twice = self.twice or bool({task.id for task in tasks} & {task.id for task in self.running})
        self.running += tasks

    def stop(self, ids: Sequence[int], ending: Ending = Ending.CANCELLED) -> None:
        self.stopped += ids

    def end(self, ending: Ending) -> None:
        """The oldest run."""
        self.told.append(Ended(self.running.pop(0), ending, b"1" if ending is Ending.SUCCEEDED else None))

    async def reports(self) -> Sequence[Report]:
        told, self.told = self.told, []
        return told

    async def close(self, seconds: float) -> None: ...


class Stage:
    """A runner with one task, which it has begun."""

    def __init__(self, tasks: SqliteTasks) -> None:
        self.clock = TaskClock()
        self.crew = Crew()
        self.tasks = tasks
        metrics = PrometheusMetrics()
        finishing = Finishing(
            tasks, Endings(), self.clock, metrics, journaled=lambda: None, owes_callback=lambda: None,
            scheduled=lambda _: None,
        )  # fmt: skip
        self.runner = Runner(
            tasks, self.crew, {}, finishing, self.clock, metrics, holder="me", journaled=lambda: None
        )

    async def begin(self) -> None:
        now = self.clock.now()
        self.id = uuid7(now)
        await self.tasks.add([NewTask(self.id, "x", "o", now, b"{}")], now)
        await self.runner.claim_step()

    async def lose(self) -> None:
        """Its lease runs out, and it comes to the same runner again."""
        self.clock.move(LEASE_SECONDS + 2)
        await self.tasks.sweep(self.clock.now())
        await self.runner.claim_step()

    async def get(self) -> Task:
        task = await self.tasks.get(self.id)
        assert task is not None
        return task


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    tasks = await SqliteTasks.open(tmp_path / "tasks.db")
    made = Stage(tasks)
    await made.begin()
    yield made
    await tasks.close()


async def test_what_comes_again_while_it_runs_here_is_begun_when_the_old_run_has_ended(stage: Stage) -> None:
    await stage.lose()
    assert stage.crew.stopped == [stage.id]
    assert [task.attempt for task in stage.crew.running] == [1]
    stage.crew.end(Ending.RELEASED)
    await stage.runner.report_step()
    assert [task.attempt for task in stage.crew.running] == [2]
    assert not stage.crew.twice


async def test_the_new_lease_is_kept_alive_after_the_old_run_has_ended(stage: Stage) -> None:
    await stage.lose()
    stage.crew.end(Ending.SUCCEEDED)  # refused: its lease was lost
    await stage.runner.report_step()
    assert (await stage.get()).status is Status.RUNNING
    stage.clock.move(LEASE_SECONDS - 1)
    await stage.runner.beat_step()
    stage.clock.move(LEASE_SECONDS - 1)
    assert (await stage.tasks.sweep(stage.clock.now())).expired == 0
    stage.crew.end(Ending.SUCCEEDED)
    await stage.runner.report_step()
    assert (await stage.get()).status is Status.SUCCEEDED
    assert stage.runner.running == 0


async def test_what_was_held_back_and_lost_again_is_not_begun(stage: Stage) -> None:
    await stage.lose()
    stage.clock.move(LEASE_SECONDS + 2)
    await stage.tasks.sweep(stage.clock.now())
    await stage.runner.beat_step()
    assert stage.runner.running == 0
    stage.crew.end(Ending.RELEASED)
    await stage.runner.report_step()
    assert stage.crew.running == []
    await asyncio.wait_for(stage.runner.claim_step(), 5)
    assert [task.attempt for task in stage.crew.running] == [3]
