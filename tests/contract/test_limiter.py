"""What every limiter promises: exact counts of attempts, and leases that add up to the limit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.adapters.postgres.database import Database
from headrace.adapters.postgres.layout import prepare
from headrace.adapters.postgres.limiter import LIMITER, PostgresLimiter
from headrace.adapters.system.clock import SystemClock
from headrace.errors import Unavailable
from headrace.ports.limiter import Limit, Limiter
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster

TEN = Limit("ten", 10, 60)
HUNDRED = Limit("hundred", 100, 1)


@dataclass
class Rig:
    """A limiter and the way to let time pass for it: by hand where the clock is ours, else for real."""

    limiter: Limiter
    passes: Callable[[float], Awaitable[None]]
    now: Callable[[], float]
    slack: float = 0.0
    """Seconds that may pass between an attempt and our knowing of it."""


@asynccontextmanager
async def memory(_: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    clock = MemoryClock()
    yield Rig(MemoryLimiter(clock), clock.advance, clock.monotonic)


@asynccontextmanager
async def on_postgres(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with limits(request.getfixturevalue("postgres_url")) as database:
        yield Rig(PostgresLimiter(database, SystemClock()), asyncio.sleep, time.monotonic, slack=0.5)


@asynccontextmanager
async def limits(url: str, size: int = 8) -> AsyncIterator[Database]:
    """A database with the tables of the limiter: one process."""
    database = Database(url, SystemClock(), name="the limits", size=size)
    await database.open()
    try:
        await prepare(database, LIMITER, migrate=True)
        yield database
    finally:
        await database.close()


RIGS: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Rig]]] = {
    "memory": memory,
    "postgres": on_postgres,
}


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with RIGS[request.param](request) as made:
        yield made


@pytest.fixture
def limiter(rig: Rig) -> Limiter:
    return rig.limiter


async def attempts(limiter: Limiter, key: str, count: int, limit: Limit = TEN) -> list[float]:
    return await asyncio.gather(*(limiter.attempt(key, limit) for _ in range(count)))


async def test_of_any_number_of_attempts_at_once_exactly_the_limit_passes(limiter: Limiter) -> None:
    waits = await attempts(limiter, "ada", 50)
    assert waits.count(0.0) == 10
    assert all(0 < wait <= 60 for wait in waits if wait)


async def test_keys_do_not_share_their_attempts(limiter: Limiter) -> None:
    await attempts(limiter, "ada", 10)
    assert await limiter.attempt("bob", TEN) == 0


async def test_in_any_window_no_more_than_the_limit_passes(rig: Rig) -> None:
    passed: list[float] = []
    limit, end = Limit("three", 3, 2), rig.now() + 6
    while rig.now() < end:
        if await rig.limiter.attempt("ada", limit) == 0:
            passed.append(rig.now())
        await rig.passes(0.25)
    window = limit.seconds - rig.slack
    assert max(sum(1 for at in passed if begin <= at < begin + window) for begin in passed) == 3
    assert len(passed) == 9


async def test_who_waits_as_long_as_told_passes(rig: Rig) -> None:
    limit = Limit("two", 2, 1)
    await attempts(rig.limiter, "ada", 2, limit)
    await rig.passes(await rig.limiter.attempt("ada", limit))
    assert await rig.limiter.attempt("ada", limit) == 0


async def test_a_refused_attempt_does_not_count(rig: Rig) -> None:
    limit = Limit("two", 2, 1)
    await attempts(rig.limiter, "ada", 40, limit)
    await rig.passes(1)
    assert (await attempts(rig.limiter, "ada", 2, limit)) == [0, 0]


async def test_a_peek_says_what_an_attempt_would_and_counts_nothing(limiter: Limiter) -> None:
    for _ in range(20):
        assert await limiter.peek("ada", TEN) == 0
    await attempts(limiter, "ada", 10)
    assert 0 < await limiter.peek("ada", TEN) <= 60


async def test_forgiven_attempts_are_forgotten_and_those_of_others_are_not(limiter: Limiter) -> None:
    await attempts(limiter, "ada", 10)
    await attempts(limiter, "bob", 10)
    await limiter.forgive("ada", TEN)
    assert (await attempts(limiter, "ada", 20)).count(0.0) == 10
    assert await limiter.peek("bob", TEN) > 0
    await limiter.forgive("nobody", TEN)


async def test_what_is_given_back_can_be_used_once_more(limiter: Limiter) -> None:
    await attempts(limiter, "ada", 10)
    await asyncio.gather(limiter.give_back("ada", TEN), limiter.give_back("ada", TEN))
    assert (await attempts(limiter, "ada", 10)).count(0.0) == 2


async def test_giving_back_more_than_was_taken_gains_nothing(limiter: Limiter) -> None:
    await attempts(limiter, "ada", 1)
    for _ in range(5):
        await limiter.give_back("ada", TEN)
    assert (await attempts(limiter, "ada", 20)).count(0.0) == 10


async def test_the_newest_attempt_is_given_back(rig: Rig) -> None:
    limit = Limit("two", 2, 4)
    await rig.limiter.attempt("ada", limit)
    await rig.passes(1)
    await rig.limiter.attempt("ada", limit)
    await rig.limiter.give_back("ada", limit)
    await rig.limiter.attempt("ada", limit)
    assert await rig.limiter.peek("ada", limit) <= 3


async def test_leases_add_up_to_the_limit(rig: Rig) -> None:
    begin = rig.now()
    leases = await asyncio.gather(*(rig.limiter.lease("key", HUNDRED, 30) for _ in range(6)))
    assert 100 <= sum(lease.tokens for lease in leases) <= 100 * (1 + rig.now() - begin)  # what refills meanwhile
    assert all(lease.tokens <= 30 for lease in leases)
    assert all((lease.tokens == 0) == (lease.retry_after > 0) for lease in leases)


async def test_a_bucket_refills_in_its_time_and_no_further(rig: Rig) -> None:
    begin = rig.now()
    assert (await rig.limiter.lease("key", HUNDRED, 100)).tokens == 100
    await rig.passes(0.5)
    assert 50 <= (await rig.limiter.lease("key", HUNDRED, 1_000)).tokens <= 100 * (rig.now() - begin)
    await rig.passes(3)
    assert (await rig.limiter.lease("key", HUNDRED, 1_000)).tokens == 100


async def test_who_waits_as_long_as_told_gets_a_token(rig: Rig) -> None:
    limit = Limit("few", 3, 1)
    await rig.limiter.lease("key", limit, 3)
    await rig.passes((await rig.limiter.lease("key", limit, 1)).retry_after)
    assert (await rig.limiter.lease("key", limit, 1)).tokens == 1


async def test_while_tokens_are_owed_nothing_is_leased(rig: Rig) -> None:
    denied = await rig.limiter.lease("key", HUNDRED, 10, owed=200)
    assert denied.tokens == 0
    assert denied.retry_after == pytest.approx(1.01, abs=0.05)
    await rig.passes(0.5)
    assert (await rig.limiter.lease("key", HUNDRED, 10)).tokens == 0
    await rig.passes(0.6)
    assert (await rig.limiter.lease("key", HUNDRED, 10)).tokens in range(1, 11)


async def test_a_limit_that_was_changed_holds_from_then_on(rig: Rig) -> None:
    await rig.limiter.lease("key", HUNDRED, 100, owed=1_000)
    raised = Limit("hundred", 10_000, 1)
    await rig.passes(0.3)
    assert (await rig.limiter.lease("key", raised, 10)).tokens == 10
    lowered = Limit("hundred", 5, 1)
    await rig.passes(2)
    assert (await rig.limiter.lease("key", lowered, 1_000)).tokens == 5


async def test_leases_and_attempts_of_one_key_are_two_things(limiter: Limiter) -> None:
    await attempts(limiter, "same", 10)
    assert (await limiter.lease("same", HUNDRED, 100)).tokens == 100


# --- what only the limiter in memory has to promise ----------------------------------------------------------------


async def test_keys_that_are_idle_are_forgotten() -> None:
    clock = MemoryClock()
    limiter = MemoryLimiter(clock)
    for number in range(2_000):
        await limiter.attempt(f"name {number}", Limit("one", 1, 1))
        await limiter.lease(f"key {number}", HUNDRED, 100)
        await clock.advance(0.01)
    assert len(limiter._logs._held) < 300
    assert len(limiter._buckets._held) < 300


async def test_beyond_its_memory_new_names_share_limits_and_old_ones_keep_theirs() -> None:
    limiter = MemoryLimiter(MemoryClock(), most=50)
    one = Limit("one", 1, 60)
    assert [await limiter.attempt(f"old {number}", one) for number in range(50)] == [0.0] * 50
    passed = [await limiter.attempt(f"new {number}", one) == 0 for number in range(20_000)]
    assert sum(passed) <= 1_024
    assert len(limiter._logs._held) <= 50 + 1_024
    assert all([await limiter.attempt(f"old {number}", one) > 0 for number in range(50)])


async def test_beyond_its_memory_forgiving_one_name_forgives_no_other() -> None:
    limiter = MemoryLimiter(MemoryClock(), most=0)
    await asyncio.gather(*(limiter.attempt(f"name {number}", TEN) for number in range(20_000)))
    full = [name for name in (f"name {number}" for number in range(3_000)) if await limiter.peek(name, TEN) > 0]
    await limiter.forgive("never tried", TEN)
    assert all([await limiter.peek(name, TEN) > 0 for name in full])


# --- what only the limiter in a database has to promise -----------------------------------------------------------


async def test_processes_on_one_database_count_exactly_together(postgres_url: str) -> None:
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(limits(postgres_url, size=4)) for _ in range(4)]
        limiters = [PostgresLimiter(database, SystemClock()) for database in databases]
        waits = await asyncio.gather(*(attempts(limiter, "ada", 20) for limiter in limiters))
        assert [wait for each in waits for wait in each].count(0.0) == 10
        minute = Limit("minute", 1_000, 60)
        leases = await asyncio.gather(*(one.lease("key", minute, 90) for one in limiters for _ in range(10)))
        assert sum(lease.tokens for lease in leases) in range(1_000, 1_050)


async def test_an_attempt_is_counted_though_its_row_is_forgiven_and_swept_all_the_time(postgres_url: str) -> None:
    async with limits(postgres_url) as database:
        limiter = PostgresLimiter(database, SystemClock())

        async def forgive() -> None:
            for _ in range(30):
                await limiter.forgive("ada", TEN)

        many = Limit("many", 10_000, 60)
        results = await asyncio.gather(forgive(), *(limiter.attempt("ada", many) for _ in range(60)))
        assert results[1:] == [0.0] * 60


async def test_rows_that_are_as_good_as_new_are_swept_away(postgres_url: str) -> None:
    async with limits(postgres_url) as database:
        clock = MemoryClock()
        limiter = PostgresLimiter(database, clock)
        for number in range(20):
            await limiter.attempt(f"name {number}", Limit("one", 1, 1))
            await limiter.lease(f"key {number}", HUNDRED, 100)
        await limiter.attempt("stays", TEN)
        await asyncio.sleep(1.1)
        await clock.advance(100)
        await limiter.attempt("new", TEN)
        async with database.connection(5) as connection:
            rows = await (await connection.execute("SELECT key FROM headrace_limits ORDER BY key")).fetchall()
        assert rows == [("new",), ("stays",)]


async def test_a_clock_that_was_set_back_by_a_day_limits_for_one_window_only(postgres_url: str) -> None:
    limit = Limit("two", 2, 1)
    async with limits(postgres_url) as database:
        limiter = PostgresLimiter(database, SystemClock())
        await attempts(limiter, "ada", 2, limit)
        await limiter.lease("key", HUNDRED, 100)
        async with database.connection(5) as connection:  # as if a day ago had been tomorrow
            await connection.execute(
                "UPDATE headrace_limits SET until = until + 86400, state = CASE kind "
                "WHEN 0 THEN ARRAY[state[1], state[2] + 86400] ELSE ARRAY[state[1] + 86400, state[2] + 86400] END"
            )
        assert 0 < await limiter.attempt("ada", limit) <= 1
        assert (await limiter.lease("key", HUNDRED, 100)).tokens in range(2)
        await asyncio.sleep(1.1)
        assert (await limiter.lease("key", HUNDRED, 100)).tokens == 100


async def test_without_its_database_it_says_so_at_once() -> None:
    cluster = Cluster(safe=False).create()
    try:
        async with limits(cluster.start().url()) as database:
            limiter = PostgresLimiter(database, SystemClock())
            await limiter.attempt("ada", TEN)
            cluster.pause()
            begin = time.monotonic()
            with pytest.raises(Unavailable):
                await limiter.attempt("ada", TEN)
            assert time.monotonic() - begin < 5
            cluster.resume()
            cluster.kill()
            with pytest.raises(Unavailable):
                await limiter.lease("key", HUNDRED, 1)
    finally:
        cluster.close()


async def test_it_counts_through_a_pooler(postgres: Cluster, postgres_url: str) -> None:
    pooler = PgBouncer(postgres)
    try:
        async with limits(pooler.start().url(postgres_url)) as database:
            limiter = PostgresLimiter(database, SystemClock())
            assert (await attempts(limiter, "ada", 30)).count(0.0) == 10
            await limiter.forgive("ada", TEN)
            assert await limiter.peek("ada", TEN) == 0
            assert (await limiter.lease("key", HUNDRED, 60)).tokens == 60
    finally:
        pooler.close()
