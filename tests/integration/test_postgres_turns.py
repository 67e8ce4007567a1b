"""Writers of a shard take turns, and one that falls silent in its turn loses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from headrace.adapters.postgres import turns
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.postgres.partitions import LOCK
from headrace.adapters.system.clock import SystemClock
from tests.contract.batches import batch_of, event

Raw = psycopg.AsyncConnection[tuple[object, ...]]


@pytest.fixture
async def store(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresEvents]:
    """It looks five times a second."""
    monkeypatch.setattr(turns, "_LOOK_SECONDS", 0.2)
    opened = await PostgresEvents.open(PostgresOptions(postgres_url), SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
async def other(store: PostgresEvents, postgres_url: str) -> AsyncIterator[Raw]:
    """Another writer, whose turn it is."""
    connection: Raw = await psycopg.AsyncConnection.connect(postgres_url)
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    yield connection
    await connection.close()


async def test_a_writer_that_is_silent_between_two_statements_loses_its_turn(
    store: PostgresEvents, other: Raw
) -> None:
    async with asyncio.timeout(10):
        assert (await store.write(batch_of(event()))).stored == 1
    with pytest.raises(psycopg.OperationalError):
        await other.execute("SELECT 1")


async def test_a_writer_that_is_silent_in_the_middle_of_a_copy_loses_its_turn(
    store: PostgresEvents, other: Raw
) -> None:
    async def copies() -> None:
        async with other.cursor() as cursor, cursor.copy("COPY event_days FROM STDIN") as copy:
            await copy.write("1\t2026-01-01\t")
            async with asyncio.timeout(10):
                assert (await store.write(batch_of(event()))).stored == 1

    with pytest.raises(psycopg.OperationalError):
        await copies()


async def test_a_writer_that_goes_on_keeps_its_turn_however_long_others_wait(
    store: PostgresEvents, other: Raw
) -> None:
    writing = asyncio.create_task(store.write(batch_of(event())))
    for _ in range(20):
        await other.execute("SELECT 1")
        await asyncio.sleep(0.1)
    assert not writing.done()
    await other.commit()
    assert (await writing).stored == 1
