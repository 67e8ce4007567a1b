"""What only the queue on PostgreSQL can show: leases, wake-ups, faults of the server, its plan and its space."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from headrace.adapters.postgres import _queue_leases
from headrace.adapters.postgres import queue as queue_module
from headrace.adapters.postgres._queue_tables import CLAIM, PUT
from headrace.adapters.postgres.database import BreakerOptions
from headrace.adapters.postgres.queue import PostgresQueue
from headrace.adapters.system.clock import SystemClock
from headrace.errors import OutcomeUnknown, Overloaded, Unavailable
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster
from tests.support.queue_process import block

ROOT = Path(__file__).resolve().parents[2]
EVER = BreakerOptions(failures=1_000_000)  # a test of a single error must not meet the breaker of the one before


@asynccontextmanager
async def opened(url: str, max_bytes: int = 1 << 30, options: BreakerOptions = EVER) -> AsyncIterator[PostgresQueue]:
    queue = await PostgresQueue.open(url, SystemClock(), max_bytes=max_bytes, options=options)
    try:
        yield queue
    finally:
        await queue.close()


@pytest.fixture
async def queue(postgres_url: str) -> AsyncIterator[PostgresQueue]:
    async with opened(postgres_url) as made:
        yield made


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server that this test may kill."""
    made = Cluster().create()
    try:
        yield made.start()
    finally:
        made.close()


def started(url: str, *mode: str, failpoint: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.queue_process", url, *mode],
        stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "HEADRACE_FAILPOINT": failpoint},
    )  # fmt: skip


def name_of(url: str) -> str:
    return url.rsplit("/", 1)[1]


async def ids(queue: PostgresQueue, wait: float = 0) -> list[int]:
    return [one.block.id for one in await queue.receive(1_000_000, wait)]


async def until_listening(queue: PostgresQueue) -> None:
    for _ in range(1000):
        if queue._arrivals._listener.listening:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it does not listen")


# --- several processes -----------------------------------------------------------------------------------------------


async def test_two_queues_never_hand_out_one_block_twice(postgres_url: str) -> None:
    async with opened(postgres_url) as one, opened(postgres_url) as other:
        for number in range(200):
            await one.put(block(number))

        async def drain(queue: PostgresQueue) -> list[int]:
            taken: list[int] = []
            while found := await queue.receive(70, 0):
                taken += [delivery.block.id for delivery in found]
                await queue.ack(found[::2])  # some are acked, the others stay out
            return taken

        found = await asyncio.gather(drain(one), drain(other), drain(one), drain(other))
        assert sorted(number for part in found for number in part) == list(range(200))


async def test_an_arrival_in_another_process_wakes_a_receiver_long_before_the_next_poll(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.adapters.postgres._queue_arrivals._POLL_SECONDS", 30.0)
    async with opened(postgres_url) as one, opened(postgres_url) as other:
        await until_listening(other)
        assert await ids(other, 0) == []
        receiving = asyncio.create_task(ids(other, 20))
        await asyncio.sleep(0.1)
        await one.put(block(1))
        async with asyncio.timeout(5):
            assert await receiving == [1]


async def test_without_a_word_an_arrival_is_found_by_polling(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(postgres_url) as one, opened(postgres_url) as other:
        monkeypatch.setattr(other._arrivals._listener, "listening", False)
        monkeypatch.setattr(other._arrivals, "_heard", lambda who: None)
        await other._arrivals._listener.close()
        receiving = asyncio.create_task(ids(other, 20))
        await asyncio.sleep(0.1)
        await one.put(block(1))
        async with asyncio.timeout(5):
            assert await receiving == [1]


@pytest.mark.parametrize(("listening", "most"), [(True, 2.0), (False, 5.0)])
async def test_an_idle_queue_asks_seldom(
    queue: PostgresQueue, listening: bool, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until_listening(queue)
    if not listening:
        await queue._arrivals._listener.close()
    asked = 0
    run = queue._run

    async def counted(*of: object) -> object:
        nonlocal asked
        asked += 1
        return await run(*of)  # type: ignore[arg-type]

    monkeypatch.setattr(queue, "_run", counted)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert await queue.receive(10, 1.0) == []
    assert asked <= most * 3 + 1


async def test_the_bound_holds_against_what_others_put(postgres_url: str) -> None:
    async with opened(postgres_url, max_bytes=5000) as one, opened(postgres_url, max_bytes=5000) as other:
        await other.put(block(1))
        for number in range(2, 6):
            await one.put(block(number))
        await asyncio.sleep(0.6)
        with pytest.raises(Overloaded):
            await other.put(block(6))
        assert len(await ids(other)) == 5


async def test_the_bound_is_exact_against_own_puts_at_once(postgres_url: str) -> None:
    async with opened(postgres_url, max_bytes=10_000) as queue:
        results = await asyncio.gather(*(queue.put(block(number)) for number in range(30)), return_exceptions=True)
        assert sum(isinstance(one, Overloaded) for one in results) == 20
        assert len(await ids(queue)) == 10


async def test_a_receive_takes_16_mib_at_most(queue: PostgresQueue) -> None:
    for number in range(20):
        await queue.put(block(number, size=1_000_000))
    assert len(await queue.receive(1_000_000, 0)) == 17


# --- behind a pooler -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pooler(postgres: Cluster) -> Iterator[PgBouncer]:
    made = PgBouncer(postgres, size=4)
    yield made.start()
    made.close()


async def test_behind_a_pooler_nothing_is_heard_and_so_it_polls_more_often(
    pooler: PgBouncer, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(pooler.url(postgres_url)) as one, opened(postgres_url) as other:
        receiving = asyncio.create_task(ids(one, 20))
        await asyncio.sleep(0.5)
        assert not one._arrivals._listener.listening
        assert "behind a pooler" in caplog.text
        await other.put(block(1))
        async with asyncio.timeout(5):
            assert await receiving == [1]


async def test_a_direct_url_is_listened_to_although_the_queue_is_behind_a_pooler(
    pooler: PgBouncer, postgres_url: str
) -> None:
    queue = await PostgresQueue.open(pooler.url(postgres_url), SystemClock(), direct_url=postgres_url)
    try:
        await until_listening(queue)
        await queue.put(block(1))
        assert await ids(queue) == [1]
    finally:
        await queue.close()


# --- leases ----------------------------------------------------------------------------------------------------------


async def test_blocks_of_a_process_that_was_killed_come_to_another_within_20_seconds(postgres_url: str) -> None:
    async with opened(postgres_url) as queue:
        for number in range(5):
            await queue.put(block(number))
        holder = started(postgres_url, "hold")
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "5\n"
        finally:
            holder.kill()
            holder.wait()
        killed = time.monotonic()
        assert await ids(queue) == []
        assert await ids(queue, 20) == [0, 1, 2, 3, 4]
        assert time.monotonic() - killed < 20


async def test_a_lease_is_renewed_while_its_holder_lives(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_queue_leases, "_RENEW_SECONDS", 0.2)
    monkeypatch.setattr(queue_module, "LEASE_SECONDS", 1.0)
    async with opened(postgres_url) as one, opened(postgres_url) as other:
        await one.put(block(1))
        assert await ids(one) == [1]
        assert await ids(other, 2.5) == []


async def test_a_lease_that_ran_out_is_taken_by_another_and_its_first_holder_can_neither_renew_nor_release_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "LEASE_SECONDS", 0.3)
    async with opened(postgres_url) as one, opened(postgres_url) as other, opened(postgres_url) as third:
        await one.put(block(1))
        taken = await one.receive(10, 0)
        monkeypatch.setattr(queue_module, "LEASE_SECONDS", 30.0)
        assert await ids(other, 5) == [1]
        assert await one._renew([int(taken[0].receipt)]) == []
        await one.release(taken)
        assert await ids(third) == []
        await one.ack(taken)  # it is stored: whoever has it by now need not store it again
        assert (await third.depth()).blocks == 0


# --- durability ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("default", "used"), [("off", "on"), ("on", "on"), ("remote_apply", "remote_apply")])
async def test_a_put_waits_for_the_disk_although_the_database_does_not(
    postgres: Cluster, postgres_url: str, queue: PostgresQueue, default: str, used: str
) -> None:
    postgres.sql(f'ALTER DATABASE "{name_of(postgres_url)}" SET synchronous_commit = {default}')
    put = PUT.decode() + " RETURNING current_setting('synchronous_commit')"
    with psycopg.connect(postgres_url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        assert connection.execute(put, (UUID(int=1), 1, 1, b"x")).fetchall() == [(used,)]


async def test_a_machine_that_vanishes_while_it_receives_a_claim_holds_it_for_seconds(
    postgres_url: str, queue: PostgresQueue
) -> None:
    await queue.put(block(1))
    claim = {"seconds": 1.0, "me": UUID(int=1), "rows": 1, "events": 1, "bytes": 1}
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        told = connection.execute(CLAIM + ", current_setting('tcp_user_timeout')", claim).fetchall()
        assert [row[-1] for row in told] == ["15000"]
        assert connection.execute("SHOW tcp_user_timeout").fetchall() == [("0",)]  # of the next statement, whoever's


@pytest.mark.parametrize("setting", ["off", "on"])
async def test_what_was_acknowledged_is_there_after_a_crash_of_the_server(setting: str) -> None:
    cluster = Cluster(settings={"synchronous_commit": setting, "wal_writer_delay": "10s"}).create().start()
    try:
        process = started(cluster.url(), "put")
        assert process.stdout is not None
        for _ in range(200):
            acknowledged = int(process.stdout.readline())
        cluster.kill()
        acknowledged = max([acknowledged, *(int(line) for line in process.stdout)])
        process.wait(20)
        cluster.start()
        async with opened(cluster.url()) as queue:
            found: list[int] = []
            while part := await ids(queue):
                found += part
        assert found[:acknowledged] == list(range(1, acknowledged + 1))
        assert len(found) <= acknowledged + 1
    finally:
        cluster.close()


@pytest.mark.parametrize(("point", "stored"), [("queue.before_commit", [1, 2]), ("queue.after_commit", [1, 2, 3])])
async def test_a_process_killed_around_its_commit_leaves_the_block_whole_or_not_at_all(
    postgres_url: str, point: str, stored: list[int]
) -> None:
    process = started(postgres_url, "put", failpoint=f"{point}:3")
    assert process.communicate(timeout=30)[0] == "1\n2\n"
    async with opened(postgres_url) as queue:
        assert await ids(queue) == stored


# --- the server's faults ---------------------------------------------------------------------------------------------


async def test_a_server_that_was_killed_is_used_again_once_it_is_back(cluster: Cluster) -> None:
    async with opened(cluster.url(), options=BreakerOptions(failures=3, seconds=0.5)) as queue:
        await queue.put(block(1))
        taken = await queue.receive(10, 0)
        cluster.kill()
        began = time.monotonic()
        for _ in range(10):
            with pytest.raises(Unavailable):
                await queue.put(block(2))
        assert time.monotonic() - began < 5
        await queue.release(taken)
        cluster.start()
        async with asyncio.timeout(20):
            while True:
                try:
                    await queue.put(block(3))
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
            found: list[int] = []
            while len(found) < 2:
                found += await ids(queue, 1)
        assert sorted(found) == [1, 3]


async def test_a_server_that_hangs_fails_a_put_in_bounded_time(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "_PUT_SECONDS", 1.0)
    async with opened(cluster.url()) as queue:
        await queue.put(block(1))
        cluster.pause()
        try:
            began = time.monotonic()
            with pytest.raises(OutcomeUnknown):  # it was sent
                await queue.put(block(2))
            with pytest.raises(Unavailable):
                await queue.put(block(3))
            assert time.monotonic() - began < 5
        finally:
            cluster.resume()
        async with asyncio.timeout(20):
            while 1 not in await ids(queue, 1):
                pass


async def test_an_error_of_the_server_stores_nothing_and_is_no_doubt(
    postgres: Cluster, postgres_url: str, queue: PostgresQueue
) -> None:
    postgres.sql(
        "ALTER TABLE queue_blocks ADD CONSTRAINT full_disk CHECK (events < 0) NOT VALID", database=name_of(postgres_url)
    )
    with pytest.raises(Unavailable) as found:
        await queue.put(block(1))
    assert not isinstance(found.value, OutcomeUnknown)
    assert (await queue.depth()).blocks == 0


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waiting", [10, 200_000])
def test_a_claim_reads_by_the_key_and_only_what_it_may_take(
    postgres: Cluster, postgres_url: str, waiting: int
) -> None:
    async def lay_out() -> None:
        async with opened(postgres_url):
            pass

    asyncio.run(lay_out())
    database = name_of(postgres_url)
    postgres.sql(
        "INSERT INTO queue_blocks (block_id, events, size, payload) "
        f"SELECT gen_random_uuid(), 10, 100, repeat('x', 100)::bytea FROM generate_series(1, {waiting})",
        database=database,
    )
    # as an analysis left it that ran while everything was leased
    postgres.sql("UPDATE queue_blocks SET leased_until = clock_timestamp() + '1 h'", database=database)
    postgres.sql("ANALYZE queue_blocks", database=database)
    postgres.sql("UPDATE queue_blocks SET leased_until = NULL", database=database)
    plan = "\n".join(row[0] for row in postgres.sql(
        f"EXPLAIN (ANALYZE, TIMING OFF) {CLAIM}",
        {"seconds": 15.0, "me": "00000000-0000-0000-0000-000000000001", "rows": 64, "events": 300, "bytes": 1 << 24},
        database=database,
    ))  # fmt: skip
    if waiting > 1000:
        assert "Index Scan using queue_blocks_pkey" in plan
        assert "Seq Scan" not in plan
    assert "LockRows" in plan
    assert max(int(rows) for rows in re.findall(r"actual rows=(\d+)", plan)) == min(64, waiting)
    leased = postgres.sql("SELECT count(*) FROM queue_blocks WHERE leased_until IS NOT NULL", database=database)
    assert leased == [(min(30, waiting),)]


async def test_the_table_stays_small_while_20000_blocks_pass_through(
    postgres: Cluster, postgres_url: str, queue: PostgresQueue
) -> None:
    database = name_of(postgres_url)
    for begin in range(0, 20_000, 1000):
        postgres.sql(
            "INSERT INTO queue_blocks (block_id, events, size, payload) SELECT gen_random_uuid(), 10, 3000, "
            "repeat('x', 3000)::bytea FROM generate_series(1, 1000)", database=database,
        )  # fmt: skip
        while found := await queue.receive(10_000, 0):
            await queue.ack(found)
        if begin % 5_000 == 0:
            postgres.sql("VACUUM queue_blocks", database=database)  # as autovacuum would by now
    ((size,),) = postgres.sql("SELECT pg_total_relation_size('queue_blocks')", database=database)
    assert size < 50_000_000  # 60 MB passed through, before vacuum's own slack
    ((options,),) = postgres.sql("SELECT reloptions FROM pg_class WHERE relname = 'queue_blocks'", database=database)
    assert "autovacuum_vacuum_scale_factor=0" in options
