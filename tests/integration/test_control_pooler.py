"""The control data through a real PgBouncer in transaction mode, which gives each transaction any connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.usage import SqlUsage
from headrace.model.account import Usage
from tests.contract.records import record
from tests.integration.test_control_queries import Town, everything
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster


@pytest.fixture
def pooled_url(postgres: Cluster, postgres_url: str) -> Iterator[str]:
    pooler = PgBouncer(postgres, size=2)
    try:
        yield pooler.start().url(postgres_url)
    finally:
        pooler.close()


@pytest.fixture
async def database(pooled_url: str) -> AsyncIterator[ControlDatabase]:
    opened = await ControlDatabase.open(pooled_url)
    yield opened
    await opened.close()


async def test_every_method_works_through_a_pooler(database: ControlDatabase) -> None:
    town = Town(database)
    await town.settle(20, 20, 20)
    await everything(town)


async def test_processes_that_share_two_connections_work_at_once(database: ControlDatabase, pooled_url: str) -> None:
    others = await asyncio.gather(*(ControlDatabase.open(pooled_url) for _ in range(3)))
    each = [database, *others]
    await asyncio.gather(
        *(
            SqlBuckets(one).create(f"b-{number}-{more}", "", None, 5, record(number * 10 + more + 1))
            for number, one in enumerate(each)
            for more in range(5)
        ),
        *(SqlUsage(one).add([Usage(5, 1, "user", "ada", 1, 1)]) for one in each),
    )
    assert len(await SqlBuckets(database).list()) == 20
    assert [line.events for line in await SqlUsage(database).day(5)] == [4]
    for other in others:
        await other.close()


async def test_a_setting_of_one_transaction_stays_nobodys(database: ControlDatabase) -> None:
    async with database.changing() as session:
        connection = await session.connection()
        assert (await connection.exec_driver_sql("SHOW statement_timeout")).scalar() == "4s"
    for _ in range(4):
        async with database.reading() as session:
            connection = await session.connection()
            assert (await connection.exec_driver_sql("SHOW statement_timeout")).scalar() == "0"
