"""The pool of a database keeps its connections, whatever happens to those who use them."""

from __future__ import annotations

import asyncio

import pytest

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
        async with database._pool._lock:  # as another caller has it, for a moment
            leave.set()
            await asyncio.sleep(0.05)
            for _ in range(3):  # again and again, as anyio does when a client hangs up
                leaving.cancel()
                await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await one_of(database) == 1
    finally:
        await database.close()
