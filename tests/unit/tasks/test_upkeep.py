"""The sweep comes in time for what it was told to expect."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from headrace.adapters.system.clock import SystemClock
from headrace.kit.times import SECOND
from headrace.model.task import Swept
from headrace.tasks.endings import Endings
from headrace.tasks.upkeep import Sweeper


class Sweeps:
    """A task table that only counts how often it is swept."""

    def __init__(self) -> None:
        self.count = 0

    async def sweep(self, now: int, patience: int = 0) -> Swept:
        self.count += 1
        return Swept()


async def test_a_task_that_is_scheduled_meanwhile_is_swept_when_it_is_due_and_not_before() -> None:
    tasks, clock = Sweeps(), SystemClock()
    sweeper = Sweeper(cast("Any", tasks), Endings(), clock, lambda: None)
    resting = asyncio.create_task(sweeper.step())
    await asyncio.sleep(0)
    began = clock.monotonic()
    sweeper.expect(clock.now() + SECOND // 5)
    sweeper.expect(clock.now() + 60 * SECOND)
    await resting
    assert 0.19 < clock.monotonic() - began < 1.5
    assert tasks.count == 1


async def test_what_was_expected_before_a_sweep_does_not_hurry_the_next_one() -> None:
    tasks, clock = Sweeps(), SystemClock()
    sweeper = Sweeper(cast("Any", tasks), Endings(), clock, lambda: None)
    sweeper.expect(clock.now())
    resting = asyncio.create_task(sweeper.step())
    await asyncio.sleep(0.2)
    assert not resting.done()
    resting.cancel()
