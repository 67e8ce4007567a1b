"""The control database as a file: migrations, versions, locks, damage, a full disk, backups."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.engine import file_url
from headrace.adapters.sql.keys import SqlKeys
from headrace.adapters.sql.migrate import HEAD, VERSION_TABLE, configuration, migrate
from headrace.adapters.sql.saved_searches import SqlSavedSearches
from headrace.errors import NewerFormat, Unavailable, Unusable
from headrace.model.account import ApiKey
from headrace.model.bucket import Bucket, DeletedBucket, Quota
from headrace.model.principal import Permission, Role
from headrace.model.saved_search import SavedSearch
from tests.contract.records import record, user
from tests.support.migrations import migrated, starts_without_alembic, unlike_the_models

ADA = user(1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[ControlDatabase]:
    opened = await ControlDatabase.open(url)
    yield opened
    await opened.close()


def tables(file: Path) -> dict[str, list[str]]:
    """What each table and index is made of, in order of the text: a column that was added stands behind the rules."""
    with sqlite3.connect(file) as connection:
        made = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
        return {name: _parts(sql.replace('"', "")) for name, sql in made}  # SQLite quotes a table that it renamed


def _parts(statement: str) -> list[str]:
    head, _, rest = statement.partition("(")
    body, _, tail = rest.rpartition(")")
    return [head, *sorted(part.strip() for part in re.split(r",(?![^()]*\))", body)), tail]


async def test_models_and_migrations_agree(url: str) -> None:
    await migrated(url)
    assert await unlike_the_models(url) == []


async def test_a_database_made_from_the_models_is_the_one_that_the_migrations_make(tmp_path: Path) -> None:
    short, long = tmp_path / "short.db", tmp_path / "long.db"
    await migrate(f"sqlite:///{short}")
    await migrated(f"sqlite:///{long}")
    assert tables(short) == tables(long)


async def test_a_database_of_the_first_release_keeps_its_data(file: Path, url: str) -> None:
    await migrated(url, "0001")
    with sqlite3.connect(file) as connection:
        rows = [
            ("admin-key", "bootstrap", bytes(range(32)), "admin", 5, None),
            ("other", "ü", bytes(32), "user", 6, 2**62),
        ]
        connection.executemany("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("INSERT INTO buckets VALUES (41, 'billing', 'd', 30, 100, NULL, 5)")
        connection.execute("INSERT INTO deleted_buckets VALUES (40, 77)")
        outbox = (7, "0" * 31 + "1", 5, "a", "b", "c", "d", "e", "success", None, "{}")
        connection.execute("INSERT INTO audit_outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", outbox)
    database = await ControlDatabase.open(url)
    buckets, keys = SqlBuckets(database), SqlKeys(database)
    assert await keys.list_keys(None, None, 10) == [
        ApiKey("admin-key", "bootstrap", bytes(range(32)), Role.ADMIN, 5),
        ApiKey("other", "ü", bytes(32), Role.USER, 6, 2**62),
    ]
    known = await keys.find_key("admin-key")
    assert known is not None
    assert known.owner is None
    (bucket,) = await buckets.list()
    assert bucket == Bucket(41, "billing", "d", 30, 5, Quota(100, None))
    assert await buckets.deleted() == [DeletedBucket(40, 77)]
    assert [record.id for record in await SqlAuditOutbox(database).pending(10)] == [1]
    assert (await buckets.create("next", "", None, 5, None)).id == 42
    await database.close()


async def test_a_database_from_before_saved_searches_keeps_its_data_and_takes_them(file: Path, url: str) -> None:
    await migrated(url, "0002")
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO buckets VALUES (41, 'billing', 'd', 30, 100, NULL, 5)")
        someone = (ADA.id, ADA.username, ADA.email, "user", ADA.created_at, None, None, 1, 0, None, None, None)
        connection.execute("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", someone)
        connection.execute("INSERT INTO user_grants VALUES (?, 41, 'read')", (ADA.id,))
        connection.execute("INSERT INTO sessions VALUES ('s', ?, x'00', 5, 6)", (ADA.id,))
    database = await ControlDatabase.open(url)
    account = await SqlAccounts(database).find_account(ADA.id)
    assert account is not None
    assert (account.user.username, account.grants) == (ADA.username, {41: frozenset({Permission.READ})})
    search = SavedSearch("id", ADA.id, 41, "errors", "level=error", shared=True, created_at=5)
    await SqlSavedSearches(database).add(search, 10)
    assert await SqlSavedSearches(database).find(41, "id") == search
    await database.close()


async def test_a_migration_killed_in_the_middle_leaves_the_first_release_as_it_was(
    file: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrated(url, "0001")
    with sqlite3.connect(file) as connection:
        connection.execute("INSERT INTO api_keys VALUES ('k', 'n', x'00', 'admin', 5, NULL)")
    before = tables(file)

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_index", fail)  # some tables are made by then
        with pytest.raises(ZeroDivisionError):
            await migrate(url)
    assert tables(file) == before
    database = await ControlDatabase.open(url)
    assert [key.id for key in await SqlKeys(database).list_keys(None, None, 10)] == ["k"]
    await database.close()


def test_migrations_are_one_numbered_line() -> None:
    script = ScriptDirectory.from_config(configuration())
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert revisions == [f"{number:04}" for number in range(len(revisions), 0, -1)]
    assert script.get_heads() == [HEAD]


async def test_a_start_on_a_current_database_does_not_load_alembic(url: str, database: ControlDatabase) -> None:
    assert await starts_without_alembic(url)


async def test_processes_that_start_at_once_on_a_new_database_all_start(url: str) -> None:
    opened = await asyncio.gather(*(ControlDatabase.open(url) for _ in range(8)))
    for database in opened:
        await SqlAuditOutbox(database).pending(1)
        await database.close()


async def test_a_database_of_a_newer_program_is_refused_and_left_alone(file: Path, url: str) -> None:
    await migrate(url)
    with sqlite3.connect(file) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    before = file.read_bytes()
    with pytest.raises(NewerFormat, match="9999"):
        await ControlDatabase.open(url)
    with pytest.raises(NewerFormat):
        await migrate(url)
    assert file.read_bytes() == before


async def test_without_migrating_an_empty_database_is_refused(url: str) -> None:
    with pytest.raises(Unusable, match="headrace migrate"):
        await ControlDatabase.open(url, migrate=False)
    await migrate(url)
    await (await ControlDatabase.open(url, migrate=False)).close()


async def test_a_migration_that_fails_in_the_middle_leaves_no_trace(
    file: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("headrace.adapters.sql.migrate.insert", fail)  # the tables are made by then
        with pytest.raises(ZeroDivisionError):
            await migrate(url)
    assert tables(file) == {}
    await (await ControlDatabase.open(url)).close()


@pytest.mark.parametrize(
    ("bad", "says"),
    [("sqlite://", "file"), ("sqlite:///:memory:", "file"), ("redis://h/0", "redis"), ("nonsense", "parsed")],
)
async def test_a_url_that_cannot_be_used_says_why(bad: str, says: str) -> None:
    with pytest.raises(Unusable, match=says):
        await ControlDatabase.open(bad)


async def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    folder = tmp_path / "wäter mill?%41#;&=+ 'x'"
    folder.mkdir()
    await (await ControlDatabase.open(file_url(folder / "control.db"))).close()
    assert [path.name for path in folder.iterdir()] == ["control.db"]


async def test_a_file_that_is_no_database_is_unusable(file: Path, url: str) -> None:
    file.write_bytes(b"not a database at all" * 100)
    with pytest.raises(Unusable, match="restore a backup"):
        await ControlDatabase.open(url)


async def test_a_folder_that_is_not_there_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="missing"):
        await ControlDatabase.open(f"sqlite:///{tmp_path}/missing/control.db")


async def test_the_file_is_for_its_owner_alone_and_written_durably(file: Path, database: ControlDatabase) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    async with database.reading() as session:
        connection = await session.connection()
        pragmas = [
            (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["delete", 3, 1]  # 3: EXTRA


async def test_a_database_that_another_process_holds_is_unavailable_and_works_afterwards(
    file: Path, database: ControlDatabase
) -> None:
    buckets = SqlBuckets(database)
    async with database.reading() as session:
        await (await session.connection()).exec_driver_sql("PRAGMA busy_timeout=50")
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Unavailable):
        await buckets.create("billing", "", None, 5, record(1))
    with pytest.raises(Unavailable):
        await buckets.find("billing")
    other.execute("ROLLBACK")
    other.close()
    await buckets.create("billing", "", None, 5, record(1))


async def test_a_full_disk_is_unavailable_changes_nothing_and_reads_go_on(database: ControlDatabase) -> None:
    buckets = SqlBuckets(database)
    await buckets.create("billing", "", None, 5, record(1))
    async with database.reading() as session:
        connection = await session.connection()
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar()
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")  # what a full disk looks like from inside
    with pytest.raises(Unavailable):
        await buckets.create("shipping", "x" * 100_000, None, 5, record(2))
    assert [bucket.name for bucket in await buckets.list()] == ["billing"]
    async with database.reading() as session:
        await (await session.connection()).exec_driver_sql("PRAGMA max_page_count=1000000")
    await buckets.create("shipping", "x" * 100_000, None, 5, record(2))


async def test_a_caller_that_gives_up_undoes_its_change_and_leaves_the_connection_in_order(
    database: ControlDatabase,
) -> None:
    buckets = SqlBuckets(database)
    for number in range(30):
        task = asyncio.create_task(buckets.create(f"b{number}", "", None, 5, record(number + 1)))
        await asyncio.sleep(number / 10_000)
        task.cancel()
        await asyncio.wait([task])
    await buckets.create("last", "", None, 5, record(100))
    names = {bucket.name for bucket in await buckets.list()}
    assert len(names) == len(await SqlAuditOutbox(database).pending(100))


async def test_a_backup_taken_under_writes_is_whole_and_can_be_opened(
    tmp_path: Path, database: ControlDatabase
) -> None:
    buckets = SqlBuckets(database)
    await buckets.create("before", "", None, 5, record(1))
    gone = await buckets.create("gone", "", None, 5, record(2))
    await buckets.delete("gone", record(3))
    target = tmp_path / "copy"
    target.mkdir()

    async def write() -> None:
        for number in range(20):
            await buckets.create(f"during-{number}", "", None, 5, record(number + 10))

    await asyncio.gather(write(), database.backup(str(target)), write_more(buckets))
    assert [path.name for path in target.iterdir()] == ["control.db"]
    copy = await ControlDatabase.open(f"sqlite:///{target}/control.db")
    copied = SqlBuckets(copy)
    names = {bucket.name for bucket in await copied.list()}
    assert "before" in names
    assert len(await SqlAuditOutbox(copy).pending(100)) == len(names) + 2  # one was made and deleted
    assert (await copied.create("after", "", None, 5, None)).id > gone.id
    await copy.close()


async def write_more(buckets: SqlBuckets) -> None:
    for number in range(20):
        await buckets.create(f"more-{number}", "", None, 5, record(number + 50))


async def test_a_backup_into_a_folder_that_is_not_there_is_unavailable(
    tmp_path: Path, database: ControlDatabase
) -> None:
    with pytest.raises(Unavailable):
        await database.backup(str(tmp_path / "missing"))
    assert await SqlBuckets(database).list() == []
