"""The last hour in figures: rates from counters, positions that only grow, memory that does not."""

from __future__ import annotations

import asyncio
import math

import pytest

from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.errors import Unavailable
from headrace.model.block import Block
from headrace.model.metric import (
    DEAD_LETTERS,
    DRAIN_DUPLICATES,
    DRAIN_EVENTS,
    DRAIN_LAG_SECONDS,
    EVENTS_ACCEPTED,
    REQUESTS,
)
from headrace.operations.history import FIELDS, History, Sample
from tests.unit.control import HandClock
from tests.unit.operations.fakes import Queue, Store


class World:
    def __init__(self, *, kept: int = 4) -> None:
        self.clock, self.queue, self.store, self.metrics = HandClock(), Queue(), Store(), PrometheusMetrics()
        self.history = History(self.queue, self.store, self.metrics, self.clock, kept=kept)  # type: ignore[arg-type]  # enough of the ports

    async def sample(self, seconds: float = 2.0) -> Sample:
        self.clock.seconds += seconds
        await self.history.step()
        newest = self.history.newest()
        assert newest is not None
        return newest


@pytest.fixture
def world() -> World:
    return World()


async def test_there_is_nothing_before_the_first_sample(world: World) -> None:
    assert world.history.newest() is None
    assert world.history.window().columns == {field: [] for field in FIELDS}


async def test_rates_are_a_second_of_the_time_that_really_passed(world: World) -> None:
    world.metrics.add(EVENTS_ACCEPTED, 300)
    world.metrics.add(DRAIN_EVENTS, 150)
    found = await world.sample(3.0)  # the loop was late
    assert (found["accepted"], found["stored"], found["acknowledged"]) == (100, 50, 300)
    found = await world.sample()
    assert (found["accepted"], found["stored"]) == (0, 0)


async def test_what_was_counted_before_it_began_is_no_rate() -> None:
    clock, metrics = HandClock(), PrometheusMetrics()
    metrics.add(EVENTS_ACCEPTED, 1_000_000)
    history = History(Queue(), Store(), metrics, clock)  # type: ignore[arg-type]  # enough of the ports
    clock.seconds += 2
    await history.step()
    assert history.newest() is not None
    assert history.window().columns["accepted"] == [0]


async def test_duplicates_and_dead_letters_do_not_wait_any_more(world: World) -> None:
    for metric in (DRAIN_EVENTS, DRAIN_DUPLICATES, DEAD_LETTERS):
        world.metrics.add(metric, 2)
    assert (await world.sample())["stored"] == 3


async def test_answers_from_500_are_ours_and_from_400_are_refusals_but_for_those_who_hung_up(world: World) -> None:
    for status, count in (("200", 90), ("400", 1), ("404", 3), ("499", 50), ("500", 6), ("503", 2)):
        world.metrics.add(REQUESTS, count, "/v1/x", "GET", status)
    found = await world.sample()
    assert (found["refused"], found["failed"]) == (2, 4)


async def test_depth_age_and_size_are_as_the_parts_say(world: World) -> None:
    await world.queue.put(Block(1, b"x", 12))
    found = await world.sample()
    assert (found["depth"], found["age"], found["events"], found["bytes"]) == (12, 1.5, 7, 4096)


async def test_lag_is_what_the_drain_saw_while_it_moves_and_else_what_waits(world: World) -> None:
    world.metrics.set(DRAIN_LAG_SECONDS, 9.25)
    assert (await world.sample())["lag"] == 1.5
    world.metrics.add(DRAIN_EVENTS)
    assert (await world.sample())["lag"] == 9.25
    assert (await world.sample())["lag"] == 1.5


async def test_what_cannot_be_asked_is_a_gap_and_the_rest_goes_on(world: World) -> None:
    world.queue.depth_error = Unavailable("away")
    world.store.error = Unavailable("away")
    world.metrics.add(EVENTS_ACCEPTED, 4)
    found = await world.sample()
    assert found["accepted"] == 2
    assert all(math.isnan(found[field]) for field in ("depth", "age", "bytes", "events"))
    assert found["lag"] == 0


async def test_the_size_of_a_store_that_cannot_answer_is_the_one_that_it_had(world: World) -> None:
    await world.sample()
    world.store.error = Unavailable("busy")
    assert (await world.sample())["bytes"] == 4096


async def test_only_the_newest_are_kept_and_the_memory_stays(world: World) -> None:
    sizes = [len(column) for column in world.history._columns.values()]
    for count in range(1, 8):
        world.metrics.add(EVENTS_ACCEPTED, count * 2)
        await world.sample()
    assert world.history.window().columns["accepted"] == [4, 5, 6, 7]
    assert [len(column) for column in world.history._columns.values()] == sizes


async def test_a_window_begins_after_the_position_that_one_had(world: World) -> None:
    await world.sample()
    position = world.history.window().position
    assert world.history.window(position).columns["time"] == []
    await world.sample()
    assert len(world.history.window(position).columns["time"]) == 1


async def test_positions_of_a_later_start_are_after_all_of_the_former_one(world: World) -> None:
    for _ in range(3):
        await world.sample()
    later = History(world.queue, world.store, world.metrics, world.clock)  # type: ignore[arg-type]  # enough of the ports
    assert later.window().position > world.history.window().position


async def test_who_follows_gets_what_is_there_and_then_each_sample_as_it_comes(world: World) -> None:
    await world.sample()
    first = await world.history.following()
    assert first is not None
    waiting = asyncio.create_task(world.history.following(first.position))
    await asyncio.sleep(0)
    assert not waiting.done()
    newest = await world.sample()
    second = await waiting
    assert second is not None
    assert second.columns["time"] == [newest["time"]]


async def test_nobody_waits_once_it_is_stopped(world: World) -> None:
    waiting = asyncio.create_task(world.history.following())
    await asyncio.sleep(0)
    world.history.stop()
    assert await waiting is None
    await world.sample()
    assert await world.history.following() is None
