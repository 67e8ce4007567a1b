"""The control data on a real PostgreSQL: migrations, versions, faults of the server and of the way to it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TypeVar

import psycopg
import pytest
from sqlalchemy import insert

from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase, ControlOptions
from headrace.adapters.sql.keys import SqlKeys
from headrace.adapters.sql.migrate import HEAD, VERSION_TABLE, migrate
from headrace.adapters.sql.models import BucketRow, SecretRow
from headrace.adapters.sql.shared_secret import SqlSharedSecret
from headrace.adapters.system.clock import SystemClock
from headrace.errors import Conflict, NewerFormat, OutcomeUnknown, Overloaded, Unavailable, Unsupported, Unusable
from headrace.model.account import ApiKey
from headrace.model.bucket import Bucket, DeletedBucket, Quota
from headrace.model.principal import Role
from tests.contract.records import record
from tests.support.migrations import migrated, starts_without_alembic, unlike_the_models
from tests.support.postgres import Cluster

T = TypeVar("T")

LONGEST = 8.0
"""Seconds after which a request must have its answer, whatever the server does; ours are 6."""


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[ControlDatabase]:
    async with opened(postgres_url) as database:
        yield database


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A server of the test's own, to be stopped and paused."""
    made = Cluster(safe=False).create()
    try:
        yield made.start()
    finally:
        made.close()


@asynccontextmanager
async def opened(url: str, **options: float) -> AsyncIterator[ControlDatabase]:
    chosen = ControlOptions(**options)  # type: ignore[arg-type] # integers are floats, too
    database = await ControlDatabase.open(url, clock=SystemClock(), options=chosen)
    try:
        yield database
    finally:
        await database.close()


def schema(url: str) -> list[tuple[object, ...]]:
    """Columns, constraints and indexes of the tables of the control data."""
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default "
            "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, column_name"
        ).fetchall()
        constraints = connection.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2"
        ).fetchall()
        indexes = connection.execute(
            "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1, 2"
        ).fetchall()
    return [*columns, *constraints, *indexes]


# Migrations


async def test_models_and_migrations_agree(postgres_url: str) -> None:
    await migrated(postgres_url)
    assert await unlike_the_models(postgres_url) == []


async def test_a_database_made_from_the_models_is_the_one_that_the_migrations_make(
    postgres: Cluster, postgres_url: str
) -> None:
    other = postgres.create_database()
    await migrate(postgres_url)
    await migrated(other)
    assert schema(postgres_url) == schema(other)
    postgres.drop_database(other)


async def test_a_database_of_the_first_release_keeps_its_data(postgres_url: str) -> None:
    await migrated(postgres_url, "0001")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO api_keys VALUES ('admin-key', 'bootstrap', '\\x00ff', 'admin', 5, NULL)")
        connection.execute("INSERT INTO buckets VALUES (nextval('buckets_id_seq'), 'billing', 'd', 30, 100, NULL, 5)")
        connection.execute("INSERT INTO deleted_buckets VALUES (40, 77)")
    async with opened(postgres_url) as database:
        known = await SqlKeys(database).find_key("admin-key")
        assert known is not None
        assert known.key == ApiKey("admin-key", "bootstrap", b"\0\xff", Role.ADMIN, 5)
        buckets = SqlBuckets(database)
        assert await buckets.list() == [Bucket(1, "billing", "d", 30, 5, Quota(100, None))]
        assert await buckets.deleted() == [DeletedBucket(40, 77)]


async def test_processes_that_start_at_once_on_a_new_database_all_start(postgres_url: str) -> None:
    several = await asyncio.gather(*(ControlDatabase.open(postgres_url) for _ in range(8)))
    for database in several:
        await SqlAuditOutbox(database).pending(1)
        await database.close()


KILLED = """
import asyncio, os, signal, sys
import alembic.op
from headrace.adapters.sql.migrate import migrate
alembic.op.create_index = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # some tables are made by then
asyncio.run(migrate(sys.argv[1]))
"""


async def test_a_migration_killed_in_the_middle_leaves_all_as_it_was_and_can_be_run_again(postgres_url: str) -> None:
    await migrated(postgres_url, "0001")
    before = schema(postgres_url)
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", KILLED, postgres_url], check=False)
    assert done.returncode == -signal.SIGKILL
    assert schema(postgres_url) == before
    await migrate(postgres_url)
    async with opened(postgres_url) as database:
        assert await SqlKeys(database).list_keys(None, None, 10) == []


async def test_a_migration_waits_for_a_long_transaction_and_lets_others_pass(postgres_url: str) -> None:
    await migrated(postgres_url, "0001")
    with psycopg.connect(postgres_url) as holder, psycopg.connect(postgres_url, autocommit=True) as reader:
        holder.execute("SELECT * FROM api_keys")  # what a change of the table has to wait for
        reader.execute("SET statement_timeout = '3500ms'")  # the migration gives up its place in the line after 2 s
        migration = asyncio.create_task(migrate(postgres_url))
        end = time.monotonic() + 4
        while time.monotonic() < end:
            await asyncio.to_thread(reader.execute, "SELECT count(*) FROM api_keys")
            await asyncio.sleep(0.05)
        assert not migration.done()
        holder.rollback()
        await migration
    async with opened(postgres_url) as database:
        assert await SqlKeys(database).list_keys(None, None, 10) == []


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(postgres_url: str) -> None:
    await migrate(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(NewerFormat, match="9999"):
        await ControlDatabase.open(postgres_url)
    with pytest.raises(NewerFormat):
        await migrate(postgres_url)


async def test_without_migrating_an_empty_database_is_refused(postgres_url: str) -> None:
    with pytest.raises(Unusable, match="headrace migrate"):
        await ControlDatabase.open(postgres_url, migrate=False)
    await migrate(postgres_url)
    await (await ControlDatabase.open(postgres_url, migrate=False)).close()
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(HEAD,)]


@pytest.mark.usefixtures("database")
async def test_a_start_on_a_current_database_does_not_load_alembic(postgres_url: str) -> None:
    assert await starts_without_alembic(postgres_url)


async def test_an_id_is_never_used_again(database: ControlDatabase) -> None:
    buckets = SqlBuckets(database)
    gone = await buckets.create("gone", "", None, 5, None)
    await buckets.delete("gone", record(1))
    assert (await buckets.create("next", "", None, 5, None)).id > gone.id


# URLs and what may be done


async def test_a_url_may_begin_with_postgres_and_name_several_hosts(postgres: Cluster, postgres_url: str) -> None:
    name = postgres_url.rsplit("/", 1)[1]
    hosts = f"127.0.0.1:1,127.0.0.1:{postgres.port}"
    async with opened(f"postgres://postgres@{hosts}/{name}?target_session_attrs=read-write") as database:
        await SqlBuckets(database).create("billing", "", None, 5, None)


async def test_a_url_that_cannot_be_used_says_why_and_tells_no_password() -> None:
    with pytest.raises(Unusable) as caught:
        await ControlDatabase.open("postgresql://ada:hunter2@host:port/x?nonsense=1")
    assert "hunter2" not in str(caught.value)


async def test_a_server_that_is_not_there_says_so_at_a_start() -> None:
    with pytest.raises(Unavailable, match="refused"):
        await ControlDatabase.open("postgresql://postgres@127.0.0.1:1/x")


async def test_a_user_who_may_make_no_tables_says_so_at_a_start(postgres: Cluster, postgres_url: str) -> None:
    role = "r_" + postgres_url.rsplit("_", 1)[1]
    postgres.sql(f"CREATE ROLE {role} LOGIN")
    with pytest.raises(Unusable, match="permission denied"):
        await ControlDatabase.open(postgres_url.replace("postgres@", f"{role}@"))


async def test_a_backup_is_the_servers_own_business(database: ControlDatabase) -> None:
    with pytest.raises(Unsupported):
        await database.backup("/tmp")


async def test_a_change_is_durable_where_the_server_would_not_wait_for_its_disk(
    postgres: Cluster, postgres_url: str
) -> None:
    name = postgres_url.rsplit("/", 1)[1]
    postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    async with opened(postgres_url) as database, database.changing() as session:
        connection = await session.connection()
        assert (await connection.exec_driver_sql("SHOW synchronous_commit")).scalar() == "on"


async def test_the_shared_secret_shows_in_no_message(
    database: ControlDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where the driver tells of each statement, or of one that failed."""
    shared = SqlSharedSecret(database)
    with caplog.at_level(1):
        for _ in range(2):
            await shared.keep("a secret that nobody may see")
        with pytest.raises(Conflict) as caught:
            async with database.changing() as session:
                await session.execute(insert(SecretRow).values(name="sealing", secret="a secret"))
    assert caught.value.__cause__ is not None
    for text in (caplog.text, str(caught.value.__cause__), repr(shared), repr(vars(shared))):
        assert "a secret" not in text


# Faults


async def test_a_server_that_was_restarted_is_found_without_an_error(cluster: Cluster) -> None:
    async with opened(cluster.url()) as database:
        buckets = SqlBuckets(database)
        await asyncio.gather(*(buckets.create(f"b{number}", "", None, 5, None) for number in range(5)))
        cluster.stop()
        cluster.start()
        for number in range(5):
            await buckets.create(f"again-{number}", "", None, 5, None)
        assert len(await buckets.list()) == 10


async def test_a_server_that_is_down_is_left_alone_and_found_again(cluster: Cluster) -> None:
    async with opened(cluster.url(), failures=3, seconds=0.5) as database:
        buckets = SqlBuckets(database)
        await buckets.create("before", "", None, 5, None)
        cluster.kill()
        for _ in range(3):
            with pytest.raises(Unavailable):
                await buckets.find("before")
        with pytest.raises(Unavailable, match="left alone"):
            await buckets.find("before")
        cluster.start()
        await asyncio.sleep(0.6)
        assert await buckets.find("before") is not None


async def test_a_server_that_hangs_keeps_nobody_waiting_and_is_found_again(cluster: Cluster) -> None:
    async with opened(cluster.url(), connections=2, failures=4, seconds=0.5) as database:
        buckets = SqlBuckets(database)
        await asyncio.gather(buckets.list(), buckets.list())
        cluster.pause()
        begin = time.monotonic()
        tries = (buckets.find("x"), buckets.create("x", "", None, 5, None), *(buckets.list() for _ in range(6)))
        results = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable] * 8
        assert time.monotonic() - begin < LONGEST
        begin = time.monotonic()
        with pytest.raises(Unavailable, match="left alone"):
            await buckets.find("x")
        assert time.monotonic() - begin < 0.5
        cluster.resume()
        await asyncio.sleep(0.6)
        assert await buckets.find("x") is None


async def tried_again(ask: Callable[[], Awaitable[T]]) -> T:
    """A server that hung is left alone for a moment, which began with what it failed at."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await ask()
            except Unavailable:
                await asyncio.sleep(0.2)


async def test_a_server_that_hangs_in_a_transaction_changes_nothing(cluster: Cluster) -> None:
    async with opened(cluster.url()) as database:
        begin = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            await change(database, before=cluster.pause)
        assert not isinstance(caught.value, OutcomeUnknown)
        assert time.monotonic() - begin < LONGEST
        cluster.resume()
        assert await tried_again(SqlBuckets(database).list) == []


async def test_a_server_that_hangs_in_mid_commit_leaves_the_outcome_unknown(cluster: Cluster) -> None:
    async with opened(cluster.url()) as database:
        begin = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            await change(database, before_commit=cluster.pause)
        assert time.monotonic() - begin < LONGEST
        cluster.resume()
        await tried_again(SqlBuckets(database).list)


async def test_a_connection_lost_in_mid_commit_leaves_the_outcome_unknown(
    postgres: Cluster, database: ControlDatabase
) -> None:
    pid = await backend(database)  # the one connection there is
    with pytest.raises(OutcomeUnknown):
        await change(database, before_commit=lambda: terminate(postgres, pid))
    assert await SqlBuckets(database).list() == []


async def test_a_lock_that_does_not_come_is_our_capacity_and_changes_nothing(
    postgres_url: str, database: ControlDatabase
) -> None:
    buckets = SqlBuckets(database)
    await buckets.create("billing", "", None, 5, None)
    with psycopg.connect(postgres_url) as holder:
        holder.execute("SELECT * FROM buckets FOR UPDATE")
        begin = time.monotonic()
        with pytest.raises(Overloaded):
            await buckets.delete("billing", record(1))
        assert time.monotonic() - begin < LONGEST
    assert await buckets.find("billing") is not None
    assert await SqlAuditOutbox(database).pending(10) == []
    assert database.breaker is not None
    assert not database.breaker.reason


async def test_a_primary_that_became_read_only_is_left_for_the_new_one(postgres: Cluster, postgres_url: str) -> None:
    name = postgres_url.rsplit("/", 1)[1]
    async with opened(postgres_url, connections=1) as database:
        buckets = SqlBuckets(database)
        before = await backend(database)
        postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        async with database.reading() as session:  # the connection that is there learns of it, as after a failover
            await (await session.connection()).exec_driver_sql("SET default_transaction_read_only = on")
        with pytest.raises(Unavailable):
            await buckets.create("billing", "", None, 5, None)
        postgres.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await buckets.create("billing", "", None, 5, None)
        assert await backend(database) != before


async def test_writes_go_on_by_themselves_when_a_replica_is_promoted(cluster: Cluster) -> None:
    replica = cluster.replica()
    try:
        replica.start()
        hosts = f"127.0.0.1:{cluster.port},127.0.0.1:{replica.port}"
        url = f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
        async with opened(url, failures=2, seconds=0.2) as database:
            buckets = SqlBuckets(database)
            await buckets.create("before", "", None, 5, None)
            await asyncio.sleep(1)  # the replica has it
            cluster.kill()
            with pytest.raises(Unavailable):
                await buckets.create("between", "", None, 5, None)
            await asyncio.to_thread(replica.promote)
            await until(lambda: buckets.create("after", "", None, 5, None))
            assert [bucket.name for bucket in await buckets.list()] == ["after", "before"]
    finally:
        replica.close()


async def test_callers_that_give_up_leave_the_connections_in_order(database: ControlDatabase) -> None:
    buckets = SqlBuckets(database)
    for number in range(30):
        task = asyncio.create_task(buckets.create(f"b{number}", "", None, 5, record(number + 1)))
        await asyncio.sleep(number / 2_000)
        task.cancel()
        await asyncio.wait([task])
    await asyncio.gather(*(buckets.create(f"last-{number}", "", None, 5, record(100 + number)) for number in range(9)))
    names = {bucket.name for bucket in await buckets.list()}
    assert len(names) == len(await SqlAuditOutbox(database).pending(100))


async def test_more_at_once_than_there_are_connections_wait_for_each_other(postgres_url: str) -> None:
    async with opened(postgres_url, connections=2) as database:
        buckets = SqlBuckets(database)
        results = await asyncio.gather(
            *(buckets.create("same", "", None, 5, record(number + 1)) for number in range(40)), return_exceptions=True
        )
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict] * 39


async def until(works: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Try again and again, as a client would."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await works()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            return


def nothing() -> None:
    pass


async def change(
    database: ControlDatabase, *, before: Callable[[], None] = nothing, before_commit: Callable[[], None] = nothing
) -> None:
    """A new bucket, in a transaction to which something happens."""
    async with database.changing() as session:
        await session.connection()
        before()
        values = {"name": "new", "description": "", "created_at": 5}
        await session.execute(insert(BucketRow).values(values))
        before_commit()


def terminate(server: Cluster, pid: object) -> None:
    server.sql("SELECT pg_terminate_backend(%s)", (pid,))


async def backend(database: ControlDatabase) -> object:
    async with database.reading() as session:
        return (await (await session.connection()).exec_driver_sql("SELECT pg_backend_pid()")).scalar()
