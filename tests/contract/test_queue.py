"""What every queue promises, whatever it is made of. A new adapter is one more entry of QUEUES."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.queue import MemoryQueue
from headrace.adapters.postgres.queue import PostgresQueue
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.errors import Overloaded, Unavailable
from headrace.model.block import Block, Delivery
from headrace.ports.queue import Queue
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster

Open = Callable[..., Awaitable[Queue]]

CLOCK = MemoryClock(1_800_000_000_000_000)


async def _memory(place: str, max_bytes: int) -> Queue:
    return MemoryQueue(CLOCK, max_bytes=max_bytes)


async def _sqlite(place: str, max_bytes: int) -> Queue:
    return await SqliteQueue.open(Path(place) / "queue.db", CLOCK, max_bytes=max_bytes)


async def _postgres(place: str, max_bytes: int) -> Queue:
    return await PostgresQueue.open(place, CLOCK, max_bytes=max_bytes)


QUEUES: dict[str, Callable[[str, int], Awaitable[Queue]]] = {
    "memory": _memory, "sqlite": _sqlite, "postgres": _postgres, "pgbouncer": _postgres,
}  # fmt: skip
"""Opened in a folder, or by the URL of a database of its own."""
DURABLE = [name for name in QUEUES if name != "memory"]


@pytest.fixture(params=QUEUES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pooler(postgres: Cluster) -> Iterator[PgBouncer]:
    made = PgBouncer(postgres, size=2)
    yield made.start()
    made.close()


@pytest.fixture
def place(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> str:
    if kind == "pgbouncer":
        pooler: PgBouncer = request.getfixturevalue("pooler")
        return pooler.url(request.getfixturevalue("postgres_url"))
    return str(request.getfixturevalue("postgres_url") if kind == "postgres" else tmp_path)


@pytest.fixture
async def opened(kind: str, place: str) -> AsyncIterator[Open]:
    """Opens the queue; again after a close, with what it holds."""
    queues: list[Queue] = []

    async def open_queue(max_bytes: int = 1024**3) -> Queue:
        queues.append(await QUEUES[kind](place, max_bytes))
        return queues[-1]

    yield open_queue
    for queue in queues:
        await queue.close()


def block(number: int, *, events: int = 1, size: int = 100, age: float = 0) -> Block:
    milliseconds = CLOCK.now() // 1000 - int(age * 1000)
    return Block(milliseconds << 80 | 7 << 76 | number, number.to_bytes(4) * (size // 4), events)


def blocks(deliveries: list[Delivery] | tuple[Delivery, ...] | object) -> list[Block]:
    return [one.block for one in deliveries]  # type: ignore[attr-defined]


async def test_blocks_come_out_as_they_went_in_and_in_order(opened: Open) -> None:
    queue = await opened()
    put = [block(number, events=number, size=number * 4000) for number in range(1, 20)]
    for one in put:
        await queue.put(one)
    assert blocks(await queue.receive(10_000, 0)) == put


async def test_an_empty_payload_is_a_payload(opened: Open) -> None:
    queue = await opened()
    await queue.put(block(1, size=0))
    assert blocks(await queue.receive(10, 0)) == [block(1, size=0)]


async def test_receive_takes_about_so_many_events(opened: Open) -> None:
    queue = await opened()
    for number in range(10):
        await queue.put(block(number, events=100))
    assert len(await queue.receive(350, 0)) == 3


async def test_a_block_larger_than_asked_for_is_received_alone(opened: Open) -> None:
    queue = await opened()
    await queue.put(block(1, events=1000))
    await queue.put(block(2, events=1))
    assert blocks(await queue.receive(10, 0)) == [block(1, events=1000)]


async def test_a_block_that_is_out_is_not_handed_out_again(opened: Open) -> None:
    queue = await opened()
    await queue.put(block(1))
    await queue.receive(10, 0)
    assert await queue.receive(10, 0) == []


async def test_a_released_block_is_received_again_before_younger_ones(opened: Open) -> None:
    queue = await opened()
    for number in range(4):
        await queue.put(block(number))
    await queue.release(await queue.receive(2, 0))
    assert blocks(await queue.receive(10, 0)) == [block(number) for number in range(4)]


async def test_a_block_acked_after_its_release_does_not_come_again(opened: Open) -> None:
    queue = await opened()
    await queue.put(block(1))
    taken = await queue.receive(10, 0)
    await queue.release(taken)
    await queue.ack(taken)
    assert await queue.receive(10, 0) == []


async def test_acking_twice_is_acking_once(opened: Open) -> None:
    queue = await opened()
    await queue.put(block(1))
    await queue.put(block(2))
    taken = await queue.receive(1, 0)
    await queue.ack(taken)
    await queue.ack(taken)
    assert (await queue.depth()).blocks == 1


async def test_receive_waits_for_the_first_block(opened: Open) -> None:
    queue = await opened()
    receiving = asyncio.create_task(queue.receive(10, 30))
    await asyncio.sleep(0.01)
    await queue.put(block(1))
    assert blocks(await receiving) == [block(1)]


async def test_receive_waits_no_longer_than_asked_for(opened: Open) -> None:
    queue = await opened()
    assert await queue.receive(10, 0.01) == []


async def test_a_cancelled_receive_loses_nothing(opened: Open) -> None:
    queue = await opened()
    receiving = asyncio.create_task(queue.receive(10, 30))
    await asyncio.sleep(0.01)
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    await queue.put(block(1))
    assert blocks(await queue.receive(10, 0)) == [block(1)]


async def test_depth_counts_what_waits_and_what_is_out(opened: Open) -> None:
    queue = await opened()
    await queue.put(block(1, events=10, size=400, age=5))
    await queue.put(block(2, events=20, size=800))
    await queue.receive(10, 0)
    depth = await queue.depth()
    assert (depth.blocks, depth.events, depth.bytes) == (2, 30, 1200)
    assert depth.oldest_seconds == pytest.approx(5, abs=0.002)


async def test_depth_forgets_what_is_acked(opened: Open) -> None:
    queue = await opened()
    await queue.put(block(1))
    await queue.ack(await queue.receive(10, 0))
    depth = await queue.depth()
    assert (depth.blocks, depth.events, depth.bytes, depth.oldest_seconds) == (0, 0, 0, 0)


async def test_a_full_queue_refuses_and_stores_nothing(opened: Open) -> None:
    queue = await opened(max_bytes=1000)
    await queue.put(block(1, size=800))
    with pytest.raises(Overloaded):
        await queue.put(block(2, size=400))
    assert blocks(await queue.receive(10, 0)) == [block(1, size=800)]


async def test_acks_make_room_in_a_full_queue(opened: Open) -> None:
    queue = await opened(max_bytes=1000)
    await queue.put(block(1, size=800))
    await queue.ack(await queue.receive(10, 0))
    await queue.put(block(2, size=800))
    assert blocks(await queue.receive(10, 0)) == [block(2, size=800)]


async def test_many_puts_at_once_are_all_kept(opened: Open) -> None:
    queue = await opened()
    await asyncio.gather(*(queue.put(block(number)) for number in range(300)))
    assert sorted(one.id for one in blocks(await queue.receive(1000, 0))) == [block(number).id for number in range(300)]


async def test_a_put_whose_caller_went_away_may_be_kept_but_breaks_nothing(opened: Open) -> None:
    queue = await opened()
    putting = asyncio.create_task(queue.put(block(1)))
    await asyncio.sleep(0)
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    await queue.put(block(2))
    assert block(2) in blocks(await queue.receive(10, 0.1))


async def test_a_closed_queue_takes_nothing(opened: Open) -> None:
    queue = await opened()
    await queue.close()
    with pytest.raises(Unavailable):
        await queue.put(block(1))


async def test_closing_ends_a_wait(opened: Open) -> None:
    queue = await opened()
    receiving = asyncio.create_task(queue.receive(10, 30))
    await asyncio.sleep(0.01)
    await queue.close()
    assert await receiving == []


@pytest.mark.parametrize("kind", DURABLE, indirect=True)
async def test_what_was_not_acked_is_received_again_after_a_restart_oldest_first(opened: Open) -> None:
    queue = await opened()
    for number in range(6):
        await queue.put(block(number, size=5000))
    await queue.ack(await queue.receive(2, 0))
    await queue.receive(2, 0)
    await queue.close()
    again = await opened()
    assert (await again.depth()).bytes == 20_000
    await again.put(block(6, size=5000))
    assert blocks(await again.receive(10, 0)) == [block(number, size=5000) for number in range(2, 7)]
