"""Partitions that several processes make and drop, and what is kept of those that are gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date

import psycopg
import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.postgres.partitions import name_of
from headrace.kit.times import DAY, to_datetime
from tests.contract.batches import NOON, batch_of, event


@pytest.fixture
def clock() -> MemoryClock:
    return MemoryClock(NOON)


@pytest.fixture
async def store(postgres_url: str, clock: MemoryClock) -> AsyncIterator[PostgresEvents]:
    opened = await PostgresEvents.open(PostgresOptions(postgres_url), clock)
    yield opened
    await opened.close()


def rows(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert found is not None
    return int(found[0])


async def test_events_of_a_day_whose_partition_another_process_dropped_are_deleted_too(
    store: PostgresEvents, clock: MemoryClock, postgres_url: str
) -> None:
    other = await PostgresEvents.open(PostgresOptions(postgres_url), clock)
    await store.write(batch_of(event()))
    await other.write(batch_of(event()))  # both know the partition of the day
    assert await other.delete_bucket(1) == 2
    await store.write(batch_of(event()))  # which is in the default one now
    await other.close()
    assert rows(postgres_url, "events_rest") == 1
    assert await store.delete_bucket(1) == 1
    assert rows(postgres_url, "events") == 0


async def test_a_partition_of_one_bucket_alone_is_dropped(store: PostgresEvents, postgres_url: str) -> None:
    await store.write(batch_of(*[event()] * 3))
    assert await store.delete_bucket(1) == 3
    with psycopg.connect(postgres_url) as connection:
        name = name_of(to_datetime(NOON).date())
        assert connection.execute("SELECT to_regclass(%s)", (name,)).fetchone() == (None,)


async def test_while_somebody_reads_for_long_not_every_write_waits_for_partitions(
    store: PostgresEvents, clock: MemoryClock, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[date] = []
    make = store._partitions._make

    async def counted(connection: Connection, day: date) -> None:
        tried.append(day)
        await make(connection, day)

    monkeypatch.setattr(store._partitions, "_make", counted)
    with psycopg.connect(postgres_url) as reader:
        reader.execute("SELECT count(*) FROM events_rest")  # holds its lock to the end of the transaction
        assert (await store.write(batch_of(event()))).stored == 1
        assert (await store.write(batch_of(event()))).stored == 1
        assert len(tried) == 1  # of the four days around today
        assert rows(postgres_url, "events_rest") == 2
    await clock.advance(11)
    await store.write(batch_of(event()))
    assert rows(postgres_url, name_of(to_datetime(NOON).date())) == 3


async def test_every_id_that_is_old_enough_is_forgotten(
    store: PostgresEvents, clock: MemoryClock, postgres_url: str
) -> None:
    await store.write(batch_of(*[event() for _ in range(50)], chosen=[(0, 50)]))
    await clock.advance(2 * DAY // 1_000_000)
    await store.forget(0, NOON)
    assert rows(postgres_url, "event_ids") == 50
    assert rows(postgres_url, "event_batches") == 0
    await store.forget(NOON + 1, NOON + 1)
    assert rows(postgres_url, "event_ids") == rows(postgres_url, "stored_blocks") == 0
