"""Word of what one process stored reaches the others, whatever they have said themselves meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from headrace.adapters.postgres.bus import PostgresBus
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.system.clock import SystemClock
from headrace.model.event import Written
from headrace.ports.bus import Stored
from tests.contract.batches import batch_of, event


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[PostgresEvents]:
    opened = await PostgresEvents.open(PostgresOptions(postgres_url), SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
async def bus(store: PostgresEvents, postgres_url: str) -> AsyncIterator[PostgresBus]:
    """Of this process; `store` stands for the others, too."""
    opened = PostgresBus(postgres_url, SystemClock())
    await opened.open()
    yield opened
    await opened.close()


def word(written: Written, block: int) -> Stored:
    """As a drain says it."""
    return Stored(written.first_seq + written.stored - 1, frozenset([1]), frozenset([block]))


async def heard(words: list[Stored], block: int) -> None:
    async with asyncio.timeout(5):
        while not any(block in each.block_ids for each in words):  # noqa: ASYNC110 - of another task
            await asyncio.sleep(0.01)


async def begun(bus: PostgresBus) -> None:
    """Until it knows where it begins."""
    async with asyncio.timeout(5):
        while bus._known is None:  # noqa: ASYNC110 - of another task
            await asyncio.sleep(0.01)


async def test_what_another_process_stored_is_heard_of(bus: PostgresBus, store: PostgresEvents) -> None:
    words: list[Stored] = []
    async with bus.listen(words.append):
        await begun(bus)
        await store.write(batch_of(event(), block=5))
        await heard(words, 5)
    assert words == [Stored(1, frozenset([1]), frozenset([5]))]


async def test_what_was_stored_here_is_heard_of_once(bus: PostgresBus, store: PostgresEvents) -> None:
    words: list[Stored] = []
    async with bus.listen(words.append):
        await begun(bus)
        await bus.publish(word(await store.write(batch_of(event(), block=5)), 5))
        await store.write(batch_of(event(), block=6))
        await heard(words, 6)
    assert [each.block_ids for each in words] == [{5}, {6}]


async def test_a_block_that_came_again_hides_nobody_elses_batch(bus: PostgresBus, store: PostgresEvents) -> None:
    await store.write(batch_of(event(), block=5))
    words: list[Stored] = []
    async with bus.listen(words.append):
        await begun(bus)
        async with bus._database.connection(60), bus._database.connection(60):  # all it has: it cannot look now
            await store.write(batch_of(event(), block=6))
            await bus.publish(word(await store.write(batch_of(event(), block=5)), 5))
        await heard(words, 6)
