"""Readiness and status, with everything that can go wrong."""

from __future__ import annotations

import asyncio

import pytest

from headrace.errors import HeadraceError, Overloaded, Unavailable
from headrace.model.block import Block, QueueDepth
from headrace.operations.health import About, Health
from headrace.operations.watched_queue import WatchedQueue
from tests.unit.operations.fakes import Clock, Gauges, Letters, Queue, Store


class World:
    def __init__(self) -> None:
        self.clock, self.queue, self.store, self.gauges = Clock(), Queue(), Store(), Gauges()
        self.free = 1 << 40
        self.watched = WatchedQueue(self.queue, self.clock)
        self.health = Health(
            self.watched, self.store, Letters(), self.clock, self.gauges,  # type: ignore[arg-type]  # enough of the ports
            about=About("embedded", "1.2.3"), free_bytes=lambda: self.free, min_free_bytes=1000,
        )  # fmt: skip

    async def commit(self, error: HeadraceError | None = None) -> None:
        self.queue.error = error
        try:
            await self.watched.put(Block(1, b"x", 3))
        except HeadraceError:
            assert error

    async def parts(self) -> dict[str, str]:
        self.clock.us += 1_000_000  # a look is remembered for half a second
        return (await self.health.ready()).parts


@pytest.fixture
def world() -> World:
    return World()


async def test_ready_when_all_is_well(world: World) -> None:
    found = await world.health.ready()
    assert found.ok
    assert found.parts == {"server": "ok", "queue": "ok", "disk": "ok"}


async def test_not_ready_after_a_commit_that_failed_until_one_works(world: World) -> None:
    await world.commit(Unavailable("no space left on device"))
    assert "no space left" in (await world.parts())["queue"]
    await world.commit()
    assert (await world.parts())["queue"] == "ok"


async def test_ready_again_some_seconds_after_a_failure_so_that_traffic_can_try(world: World) -> None:
    await world.commit(Unavailable("disk I/O error"))
    world.clock.us += 11_000_000
    assert (await world.health.ready()).ok


async def test_a_full_queue_is_no_failed_commit(world: World) -> None:
    await world.commit(Overloaded("full"))
    assert (await world.health.ready()).ok


async def test_not_ready_without_disk(world: World) -> None:
    world.free = 999
    assert "999 bytes are free" in (await world.parts())["disk"]


async def test_not_ready_while_the_queue_cannot_be_reached(world: World) -> None:
    world.queue.depth_error = Unavailable("connection refused")
    assert (await world.parts())["queue"] == "connection refused"


async def test_a_queue_that_hangs_does_not_hang_the_probe(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never() -> QueueDepth:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("headrace.operations.health._PATIENCE", 0.01)
    world.queue.depth = never  # type: ignore[method-assign]
    assert "no answer" in (await world.parts())["queue"]


async def test_not_ready_from_the_moment_it_drains(world: World) -> None:
    assert (await world.health.ready()).ok
    world.health.drain()
    found = await world.health.ready()
    assert not found.ok
    assert found.parts["server"] == "shutting down"


async def test_status_tells_the_depth_in_events(world: World) -> None:
    await world.commit()
    status = await world.health.status()
    assert status["profile"] == "embedded"
    assert status["version"] == "1.2.3"
    assert status["queue"] == {"depth": 3, "oldest_seconds": 1.5, "blocks": 1, "bytes": 10}
    assert status["store"] == {"events": 7, "bytes": 4096}
    assert "problems" not in status


async def test_status_answers_although_the_store_does_not(world: World) -> None:
    world.store.error = Unavailable("the store is closed")
    status = await world.health.status()
    assert status["problems"] == {"store": "the store is closed"}
    assert "store" not in status


async def test_measure_sets_the_gauges(world: World) -> None:
    await world.commit()
    await world.health.measure()
    assert world.gauges.values == {
        "queue_events": 3, "queue_bytes": 10, "queue_oldest_seconds": 1.5, "store_events": 7, "store_bytes": 4096,
    }  # fmt: skip


# --- with a spool ----------------------------------------------------------------------------------------------------


async def with_spool(world: World, blocks: int) -> Health:
    async def spooled() -> QueueDepth:
        return QueueDepth(blocks, blocks * 10, blocks * 100, 2.5)

    return Health(
        world.watched, world.store, Letters(), world.clock, world.gauges,  # type: ignore[arg-type]  # enough of the ports
        about=About("postgres", "1.2.3"), free_bytes=lambda: world.free, min_free_bytes=1000, spooled=spooled,
    )  # fmt: skip


async def test_with_a_spool_a_queue_that_is_away_is_said_and_not_fatal(world: World) -> None:
    world.queue.depth_error = Unavailable("connection refused")
    found = await (await with_spool(world, 3)).ready()
    assert found.ok
    assert found.parts == {
        "server": "ok", "queue": "connection refused", "disk": "ok",
        "spool": "3 blocks wait on this machine for the queue",
    }  # fmt: skip


async def test_with_an_empty_spool_and_a_queue_that_is_there_all_is_well(world: World) -> None:
    found = await (await with_spool(world, 0)).ready()
    assert found.ok
    assert set(found.parts.values()) == {"ok"}


async def test_with_a_spool_a_commit_that_failed_is_fatal_since_the_spool_did_not_take_it_either(world: World) -> None:
    health = await with_spool(world, 3)
    await world.commit(Unavailable("no space left on device"))
    found = await health.ready()
    assert not found.ok
    assert "no space left" in found.parts["queue"]


async def test_with_a_spool_a_full_disk_is_fatal(world: World) -> None:
    world.free = 999
    assert not (await (await with_spool(world, 3)).ready()).ok


async def test_status_and_gauges_tell_of_the_spool_while_the_queue_is_away(world: World) -> None:
    world.queue.depth_error = Unavailable("connection refused")
    health = await with_spool(world, 3)
    status = await health.status()
    assert status["spool"] == {"blocks": 3, "events": 30, "bytes": 300, "oldest_seconds": 2.5}
    assert status["ready"] is True
    assert status["problems"] == {"queue": "connection refused"}
    await health.measure()
    assert (world.gauges.values["spool_events"], world.gauges.values["spool_bytes"]) == (30, 300)


async def test_without_a_spool_nothing_is_said_of_one(world: World) -> None:
    assert "spool" not in await world.health.status()
