"""What every bus promises: word reaches who listens, and nobody waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from headrace.adapters.memory.bus import MemoryBus
from headrace.adapters.postgres.bus import PostgresBus
from headrace.adapters.shards.bus import ShardedBus
from headrace.adapters.system.clock import SystemClock
from headrace.ports.bus import Bus, Stored
from tests.support.postgres import Cluster

Opener = Callable[[], AbstractAsyncContextManager[Bus]]


def _memory(_: pytest.FixtureRequest) -> Opener:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Bus]:
        yield MemoryBus()

    return opened


def _postgres(request: pytest.FixtureRequest) -> Callable[[], AbstractAsyncContextManager[PostgresBus]]:
    """Of an empty store."""
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.create_database(request.getfixturevalue("events_template"))
    request.addfinalizer(lambda: cluster.drop_database(url))

    @asynccontextmanager
    async def opened() -> AsyncIterator[PostgresBus]:
        bus = PostgresBus(url, SystemClock())
        await bus.open()
        try:
            yield bus
        finally:
            await bus.close()

    return opened


def _shards(request: pytest.FixtureRequest) -> Opener:
    one, other = _postgres(request), _postgres(request)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Bus]:
        async with one() as first, other() as second:
            yield ShardedBus([first, second])

    return opened


BUSES: dict[str, Callable[[pytest.FixtureRequest], Opener]] = {
    "memory": _memory, "postgres": _postgres, "shards": _shards,
}  # fmt: skip
WORD = Stored(9, frozenset([1, 2]), frozenset([5]))


@pytest.fixture(params=BUSES)
def opener(request: pytest.FixtureRequest) -> Opener:
    return BUSES[request.param](request)


@pytest.fixture
async def bus(opener: Opener) -> AsyncIterator[Bus]:
    async with opener() as opened:
        yield opened


async def arrived(words: list[Stored], count: int = 1) -> list[Stored]:
    """What came, once it is `count`; a bus may take its time."""
    async with asyncio.timeout(5):
        while len(words) < count:  # noqa: ASYNC110  # a list is what every kind of listener can fill
            await asyncio.sleep(0.01)
    return words


async def test_every_listener_hears_of_it(bus: Bus) -> None:
    first: list[Stored] = []
    second: list[Stored] = []
    async with bus.listen(first.append), bus.listen(second.append):
        await bus.publish(WORD)
        assert await arrived(first) == [WORD]
        assert await arrived(second) == [WORD]


async def test_nobody_has_to_listen(bus: Bus) -> None:
    await bus.publish(WORD)


async def test_who_left_hears_no_more(bus: Bus) -> None:
    gone: list[Stored] = []
    there: list[Stored] = []
    async with bus.listen(there.append):
        async with bus.listen(gone.append):
            pass
        await bus.publish(WORD)
        await arrived(there)
    assert gone == []


async def test_a_function_that_listens_twice_leaves_once_at_a_time(bus: Bus) -> None:
    words: list[Stored] = []
    async with bus.listen(words.append):
        async with bus.listen(words.append):
            pass
        await bus.publish(WORD)
        assert await arrived(words) == [WORD]


async def test_a_listener_that_fails_silences_nobody(bus: Bus) -> None:
    def fail(_: Stored) -> None:
        raise RuntimeError("broken")

    words: list[Stored] = []
    async with bus.listen(fail), bus.listen(words.append):
        await bus.publish(WORD)
        assert await arrived(words) == [WORD]


async def test_a_listener_may_leave_while_it_hears(bus: Bus) -> None:
    words: list[Stored] = []
    leaving = bus.listen(lambda _: leave.set())
    leave = asyncio.Event()
    await leaving.__aenter__()
    async with bus.listen(words.append):
        await bus.publish(WORD)
        await asyncio.wait_for(leave.wait(), 5)
        await leaving.__aexit__(None, None, None)
        await bus.publish(WORD)
        assert len(await arrived(words, 2)) == 2
