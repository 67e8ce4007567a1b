"""What every clock promises, and how the one for tests is moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.system.clock import SystemClock
from headrace.kit.times import SECOND
from headrace.ports.clock import Clock

MAKERS: dict[str, Callable[[], Clock]] = {"memory": MemoryClock, "system": SystemClock}


@pytest.fixture(params=MAKERS)
def clock(request: pytest.FixtureRequest) -> Clock:
    return MAKERS[request.param]()


def test_now_is_microseconds_of_our_time(clock: Clock) -> None:
    assert 1_750_000_000 * SECOND < clock.now() < 4_000_000_000 * SECOND


def test_monotonic_never_goes_back(clock: Clock) -> None:
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


async def test_sleeping_no_time_lets_others_run(clock: Clock) -> None:
    ran = asyncio.ensure_future(asyncio.sleep(0))
    for _ in range(3):
        await clock.sleep(0)
    assert ran.done()


async def test_a_sleeper_can_be_cancelled(clock: Clock) -> None:
    sleeper = asyncio.ensure_future(clock.sleep(1_000))
    await asyncio.sleep(0)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper


async def test_the_system_sleeps_for_real() -> None:
    clock = SystemClock()
    began, wall = clock.monotonic(), clock.now()
    await clock.sleep(0.02)
    assert clock.monotonic() - began >= 0.02
    assert abs(clock.now() - time.time_ns() // 1_000) < 60 * SECOND
    assert clock.now() > wall


async def test_sleepers_of_the_memory_clock_wake_in_order_and_at_their_time() -> None:
    clock = MemoryClock()
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *seconds: float) -> None:
        for one in seconds:
            await clock.sleep(one)
            woken.append((name, clock.monotonic()))

    tasks = [asyncio.create_task(sleep("a", 3, 3)), asyncio.create_task(sleep("b", 1, 1, 1))]
    await clock.advance(2.5)
    assert woken == [("b", 1), ("b", 2)]
    await clock.advance(10)
    assert woken[2:] == [("a", 3), ("b", 3), ("a", 6)]
    await asyncio.gather(*tasks)


async def test_the_wall_clock_follows_and_can_jump_alone() -> None:
    clock = MemoryClock(now=100 * SECOND)
    await clock.advance(1.5)
    clock.jump(-86_400)
    assert (clock.now(), clock.monotonic()) == (101_500_000 - 86_400 * SECOND, 1.5)
