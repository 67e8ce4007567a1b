"""The spool: nothing lost while the queue is away, nothing out of order when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.queue import MemoryQueue
from headrace.errors import HeadraceError, OutcomeUnknown, Overloaded, Unavailable
from headrace.ingest.spooled_queue import SpooledQueue
from headrace.model.block import Block, QueueDepth

CLOCK = MemoryClock(1_800_000_000_000_000)


class Remote(MemoryQueue):
    """Fails as told; with `stores`, after it has stored the block all the same."""

    def __init__(self) -> None:
        super().__init__(CLOCK)
        self.error: HeadraceError | None = None
        self.stores = False
        self.left: int | None = None
        """Puts until it fails."""
        self.tried = 0

    async def put(self, block: Block) -> None:
        self.tried += 1
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Unavailable("gone again")
        if self.error is None or self.stores:
            await super().put(block)
        if self.error is not None:
            raise self.error

    async def depth(self) -> QueueDepth:
        if self.error is not None:
            raise self.error
        return await super().depth()


class Orphan:
    def __init__(self, blocks: Sequence[Block]) -> None:
        self.queue = MemoryQueue(CLOCK)
        self.blocks = blocks
        self.ended = ""

    async def close(self) -> None:
        self.ended = "closed"

    async def discard(self) -> None:
        self.ended = "discarded"


class World:
    def __init__(self) -> None:
        self.clock = MemoryClock(1_800_000_000_000_000)
        self.remote, self.spool = Remote(), MemoryQueue(CLOCK, max_bytes=1000)
        self.orphans: list[Orphan] = []
        self.looks = 0
        self.queue = SpooledQueue(self.remote, self.spool, self.find_orphan, self.clock)

    async def find_orphan(self) -> Orphan | None:
        self.looks += 1
        if not self.orphans:
            return None
        orphan = self.orphans.pop()
        for one in orphan.blocks:
            await orphan.queue.put(one)
        return orphan

    async def arrived(self) -> list[int]:
        return [one.block.id for one in await self.remote.receive(1_000_000, 0)]

    async def spooled(self) -> int:
        return (await self.queue.spooled()).blocks


def block(number: int, size: int = 100) -> Block:
    return Block(number, b"x" * size, 10)


@pytest.fixture
def world() -> World:
    return World()


async def test_a_queue_that_is_there_gets_its_blocks_directly(world: World) -> None:
    await world.queue.put(block(1))
    assert await world.spooled() == 0
    assert await world.arrived() == [1]


@pytest.mark.parametrize("error", [Unavailable("away"), OutcomeUnknown("lost in mid-commit")])
async def test_a_block_for_a_queue_that_is_away_is_spooled(world: World, error: HeadraceError) -> None:
    world.remote.error = error
    await world.queue.put(block(1))
    assert await world.spooled() == 1


async def test_a_full_queue_is_no_reason_to_spool(world: World) -> None:
    world.remote.error = Overloaded("full")
    with pytest.raises(Overloaded):
        await world.queue.put(block(1))
    assert await world.spooled() == 0


async def test_once_it_was_found_away_nobody_waits_for_it_until_a_forwarded_block_shows_that_it_is_back(
    world: World,
) -> None:
    world.remote.error = Unavailable("away")
    for number in (1, 2, 3):
        await world.queue.put(block(number))
    assert world.remote.tried == 1
    world.remote.error = None
    await world.queue.put(block(4))
    assert world.remote.tried == 1
    assert await world.queue.forward_step(0) == 4
    await world.queue.put(block(5))
    assert await world.spooled() == 0
    assert await world.arrived() == [1, 2, 3, 4, 5]


async def test_a_block_with_an_unknown_outcome_is_forwarded_under_its_own_id(world: World) -> None:
    world.remote.error, world.remote.stores = OutcomeUnknown("lost in mid-commit"), True
    await world.queue.put(block(7))
    world.remote.error = None
    await world.queue.forward_step(0)
    assert await world.arrived() == [7, 7]  # the store takes one of them


async def test_forwarding_goes_on_where_it_was_interrupted_in_order(world: World) -> None:
    world.remote.error = Unavailable("away")
    for number in range(6):
        await world.queue.put(block(number))
    world.remote.error, world.remote.left = None, 3
    with pytest.raises(Unavailable):
        await world.queue.forward_step(0)
    assert await world.spooled() == 3
    world.remote.left = None
    assert await world.queue.forward_step(0) == 3
    assert await world.arrived() == list(range(6))


async def test_fresh_blocks_do_not_wait_for_those_that_are_forwarded(world: World) -> None:
    world.remote.error = Unavailable("away")
    for number in range(3):
        await world.queue.put(block(number))
    world.remote.error = None
    put, waiting = world.remote.put, asyncio.Event()

    async def hangs_at_the_second(one: Block) -> None:
        if one.id == 1:
            waiting.set()
            await asyncio.Event().wait()
        await put(one)

    world.remote.put = hangs_at_the_second  # type: ignore[method-assign]
    step = asyncio.create_task(world.queue.forward_step(0))
    await waiting.wait()
    await world.queue.put(block(9))
    assert await world.arrived() == [0, 9]
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)


async def test_a_queue_that_is_back_but_full_keeps_what_is_spooled_in_the_spool(world: World) -> None:
    world.remote.error = Unavailable("away")
    await world.queue.put(block(1))
    world.remote.error = Overloaded("full")
    with pytest.raises(Overloaded):
        await world.queue.forward_step(0)
    assert await world.spooled() == 1
    with pytest.raises(Overloaded):
        await world.queue.put(block(2))


async def test_when_the_spool_is_full_too_the_client_is_told_about_the_queue(world: World) -> None:
    world.remote.error = OutcomeUnknown("lost in mid-commit")
    with pytest.raises(OutcomeUnknown):
        await world.queue.put(block(1, size=2000))
    await world.queue.put(block(2))
    with pytest.raises(Overloaded):
        await world.queue.put(block(3, size=2000))


async def test_a_spool_that_failed_does_not_make_the_queue_away_for_ever(world: World) -> None:
    world.remote.error = Unavailable("away")
    with pytest.raises(Unavailable):
        await world.queue.put(block(1, size=2000))
    world.remote.error = None
    await world.queue.put(block(2))
    assert await world.arrived() == [2]


async def test_a_forwarder_that_is_stopped_puts_back_what_it_holds(world: World) -> None:
    world.remote.error = Unavailable("away")
    for number in range(3):
        await world.queue.put(block(number))
    waiting = asyncio.Event()

    async def hangs(_: Block) -> None:
        waiting.set()
        await asyncio.Event().wait()

    world.remote.put = hangs  # type: ignore[method-assign]
    step = asyncio.create_task(world.queue.forward_step(0))
    await waiting.wait()
    step.cancel()
    await asyncio.gather(step, return_exceptions=True)
    assert [one.block.id for one in await world.spool.receive(1000, 0)] == [0, 1, 2]


async def test_what_a_dead_process_left_behind_is_forwarded_and_removed(world: World) -> None:
    orphan = Orphan([block(1), block(2)])
    world.orphans.append(orphan)
    assert await world.queue.forward_step(0) == 2
    assert (orphan.ended, await world.queue.forward_step(0)) == ("", 0)
    assert orphan.ended == "discarded"
    assert await world.arrived() == [1, 2]


async def test_what_a_dead_process_left_behind_waits_while_the_queue_is_away_and_counts_as_spooled(
    world: World,
) -> None:
    world.orphans.append(Orphan([block(1), block(2)]))
    world.remote.error = Unavailable("away")
    with pytest.raises(Unavailable):
        await world.queue.forward_step(0)
    assert await world.spooled() == 2
    world.remote.error = None
    assert await world.queue.forward_step(0) == 2


async def test_orphans_are_looked_for_now_and_then(world: World) -> None:
    for _ in range(3):
        await world.queue.forward_step(0)
    assert world.looks == 1
    await world.clock.advance(11)
    await world.queue.forward_step(0)
    assert world.looks == 2


async def test_the_depth_is_that_of_both(world: World) -> None:
    world.remote.error = Unavailable("away")
    await world.queue.put(block(1))
    with pytest.raises(Unavailable):
        await world.queue.depth()
    world.remote.error = None
    await world.remote.put(block(2))
    depth = await world.queue.depth()
    assert (depth.blocks, depth.events, depth.bytes) == (2, 20, 200)
