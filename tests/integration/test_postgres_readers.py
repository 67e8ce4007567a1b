"""Reads on PostgreSQL are few and short, whatever the queries, the callers and the server do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from headrace.adapters.postgres import readers as readers_module
from headrace.adapters.postgres.database import Connection, Database
from headrace.adapters.postgres.readers import Readers
from headrace.adapters.system.clock import SystemClock
from headrace.errors import Overloaded, QueryTimeout, Unavailable
from headrace.kit.breaker import State
from tests.support.postgres import Cluster


@asynccontextmanager
async def reading_from(url: str, *, running: int = 2, waiting: int = 2, timeout: float = 20) -> AsyncIterator[Readers]:
    database = Database(url, SystemClock(), name="the events", size=running)
    await database.open()
    readers = Readers(database, running=running, waiting=waiting, timeout=timeout)
    try:
        yield readers
    finally:
        await readers.close()
        await database.close()


def asking(sql: str) -> Callable[[Connection], Awaitable[Any]]:
    async def work(connection: Connection) -> Any:
        found = await connection.execute(sql.encode())
        return await found.fetchone()

    return work


ONE = asking("SELECT 1")
SLEEP = asking("SELECT pg_sleep(30)")


def sleepers(url: str) -> int:
    with psycopg.connect(url) as connection:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)%' AND state = 'active'"
        row = connection.execute(sql + " AND pid <> pg_backend_pid() AND datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


async def until_asleep(url: str, count: int) -> None:
    async with asyncio.timeout(10):
        while await asyncio.to_thread(sleepers, url) != count:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.01)


async def test_a_slow_query_is_stopped_and_the_next_one_works(postgres_url: str) -> None:
    async with reading_from(postgres_url, running=1, timeout=0.3) as readers:
        for _ in range(6):  # more than what opens a breaker
            with pytest.raises(QueryTimeout):
                await readers.run(SLEEP)
        assert await readers.run(ONE) == (1,)
        assert sleepers(postgres_url) == 0


async def test_the_time_is_that_of_the_whole_read(postgres_url: str) -> None:
    async def work(connection: Connection) -> None:
        while True:
            await connection.execute("SELECT pg_sleep(0.05)")

    async with reading_from(postgres_url, timeout=0.3) as readers:
        with pytest.raises(QueryTimeout):
            await readers.run(work)


async def test_the_server_knows_the_limit_too(postgres_url: str) -> None:
    async with reading_from(postgres_url, timeout=7.5) as readers:
        assert await readers.run(asking("SHOW statement_timeout")) == ("7500ms",)


async def test_too_many_queries_at_once_are_refused(postgres_url: str) -> None:
    async with reading_from(postgres_url, running=1, waiting=2) as readers:
        answers = await asyncio.gather(*(readers.run(ONE) for _ in range(10)), return_exceptions=True)
        assert [type(one) for one in answers] == [tuple] * 3 + [Overloaded] * 7
        assert await readers.run(ONE) == (1,)


async def test_who_waits_too_long_for_a_turn_is_told(postgres_url: str) -> None:
    async with reading_from(postgres_url, running=1, waiting=1, timeout=0.5) as readers:
        answers = await asyncio.gather(readers.run(SLEEP), readers.run(ONE), return_exceptions=True)
        assert isinstance(answers[0], QueryTimeout)
        assert answers[1] == (1,) or isinstance(answers[1], Overloaded)


async def test_a_caller_that_goes_away_stops_its_statement_and_gives_its_place_back(postgres_url: str) -> None:
    async with reading_from(postgres_url, running=1, waiting=0) as readers:
        task = asyncio.create_task(readers.run(SLEEP))
        await until_asleep(postgres_url, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await readers.run(ONE) == (1,)
        assert sleepers(postgres_url) == 0


async def test_they_close_while_a_statement_is_being_stopped_that_does_not_stop(
    postgres_url: str,
) -> None:
    stopping = asyncio.Event()

    async def slow_to_stop(_: Connection) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            stopping.set()
            await asyncio.sleep(0.2)

    async with reading_from(postgres_url, timeout=0.1) as readers:
        reading = asyncio.create_task(readers.run(slow_to_stop))
        await stopping.wait()
        await readers.close()
        with pytest.raises(QueryTimeout):
            await reading


async def test_connections_that_died_while_idle_are_replaced(postgres_url: str) -> None:
    async with reading_from(postgres_url, running=3) as readers:
        await asyncio.gather(*(readers.run(asking("SELECT pg_sleep(0.2)")) for _ in range(3)))
        with psycopg.connect(postgres_url) as connection:
            sql = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database()"
            assert len(connection.execute(sql + " AND pid <> pg_backend_pid()").fetchall()) == 3
        assert await asyncio.gather(*(readers.run(ONE) for _ in range(3))) == [(1,)] * 3


async def test_a_connection_that_dies_in_a_query_is_an_error_and_not_asked_again(postgres_url: str) -> None:
    times = 0

    async def work(connection: Connection) -> None:
        nonlocal times
        times += 1
        await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    async with reading_from(postgres_url) as readers:
        with pytest.raises(Unavailable):
            await readers.run(work)
        assert times == 1
        assert await readers.run(ONE) == (1,)


async def test_a_server_that_hangs_is_away_and_is_back_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers_module, "_GRACE", 0.5)
    cluster = Cluster(safe=False).create().start()
    try:
        async with reading_from(cluster.url()) as readers:
            assert await readers.run(ONE) == (1,)
            cluster.pause()
            answers = await asyncio.gather(readers.run(ONE), readers.run(ONE), return_exceptions=True)
            assert [type(one) for one in answers] == [Unavailable, Unavailable]
            cluster.resume()
            async with asyncio.timeout(20):
                while readers._database.breaker.state is not State.CLOSED:  # noqa: ASYNC110 - it tries by itself
                    await asyncio.sleep(0.05)
            assert await readers.run(ONE) == (1,)
    finally:
        cluster.resume()
        cluster.close()


async def test_closing_stops_what_runs(postgres_url: str) -> None:
    async with reading_from(postgres_url, running=1) as readers:
        query, behind = asyncio.create_task(readers.run(SLEEP)), asyncio.create_task(readers.run(ONE))
        await until_asleep(postgres_url, 1)
        await readers.close()
        with pytest.raises(QueryTimeout):
            await query
        with pytest.raises(Unavailable):
            await behind
        with pytest.raises(Unavailable):
            await readers.run(ONE)
        assert sleepers(postgres_url) == 0


async def test_all_statements_of_a_read_see_one_state_and_none_may_write(postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute("CREATE TABLE numbers AS SELECT 1 AS n")

        async def work(connection: Connection) -> list[Any]:
            counts = []
            for _ in range(2):
                counts.append(await asking("SELECT count(*) FROM numbers")(connection))
                other.execute("INSERT INTO numbers VALUES (2)")
            return counts

        async with reading_from(postgres_url) as readers:
            assert await readers.run(work) == [(1,), (1,)]
            with pytest.raises(Unavailable):
                await readers.run(asking("DELETE FROM numbers RETURNING n"))
        assert other.execute("SELECT count(*) FROM numbers").fetchone() == (3,)
