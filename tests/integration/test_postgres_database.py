"""The pool of a database keeps its connections, whatever happens to those who use them."""

from __future__ import annotations

import asyncio

import pytest
from psycopg.pq import TransactionStatus

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.postgres.database import Database
from headrace.adapters.system.clock import SystemClock


async def one_of(database: Database) -> int:
    async with database.asking(3) as connection:
        [(one,)] = await (await connection.execute("SELECT 1")).fetchall()
    return int(one)


async def test_a_caller_that_is_cancelled_while_it_gives_its_connection_back_does_not_lose_it(
    postgres_url: str,
) -> None:
    database = Database(postgres_url, SystemClock(), name="the database", size=1)
    await database.open()
    try:
        taken, leave = asyncio.Event(), asyncio.Event()

        async def caller() -> None:
            async with database.asking(10):
                taken.set()
                await leave.wait()

        leaving = asyncio.create_task(caller())
        await taken.wait()
        waiting = asyncio.create_task(one_of(database))  # so that it goes back into the pool, and is not kept at hand
        await asyncio.sleep(0.05)
        async with database._pool._lock:  # as another caller has it, for a moment
            leave.set()
            await asyncio.sleep(0.05)
            for _ in range(3):  # again and again, as anyio does when a client hangs up
                leaving.cancel()
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await waiting == 1
    finally:
        await database.close()


async def test_a_connection_is_kept_at_hand_between_uses_unless_somebody_waits_for_it(postgres_url: str) -> None:
    database = Database(postgres_url, SystemClock(), name="the database", size=1)
    await database.open()
    try:
        async with database.asking(3):
            waiting = asyncio.create_task(one_of(database))
            await asyncio.sleep(0.05)
        assert await waiting == 1
        asked = database._pool.get_stats()["requests_num"]
        for _ in range(3):
            assert await one_of(database) == 1
        assert database._pool.get_stats()["requests_num"] == asked
    finally:
        await database.close()


async def test_the_pool_sees_a_connection_now_and_then_since_it_closes_what_is_old(postgres_url: str) -> None:
    clock = MemoryClock()
    database = Database(postgres_url, clock, name="the database", size=1)
    await database.open()
    try:
        await one_of(database)
        await clock.advance(60.0)
        await one_of(database)  # gives it to the pool
        asked = database._pool.get_stats()["requests_num"]
        await one_of(database)
        assert database._pool.get_stats()["requests_num"] == asked + 1
    finally:
        await database.close()


@pytest.mark.parametrize("used_at_the_end", [False, True])
async def test_no_connection_is_left_open_at_the_end(postgres_url: str, used_at_the_end: bool) -> None:
    database = Database(postgres_url, SystemClock(), name="the database", size=1)
    await database.open()
    async with database.asking(3) as connection:
        if used_at_the_end:
            await database.close()
    await database.close()
    assert connection.closed


async def test_a_connection_that_is_not_idle_is_not_kept_at_hand(postgres_url: str) -> None:
    database = Database(postgres_url, SystemClock(), name="the database", size=1)
    await database.open()
    try:
        async with database.asking(3) as connection:
            await connection.execute("BEGIN")  # the pool rolls it back
        async with database.asking(3) as connection:
            assert connection.info.transaction_status is TransactionStatus.IDLE
    finally:
        await database.close()
