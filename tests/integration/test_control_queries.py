"""What the queries of the control data cost: every one has its index, and a look-up costs the same in a full town.

Each engine says how it would run a statement; the log of statements is what the adapters really sent.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import UniqueConstraint, event, insert

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.keys import SqlKeys
from headrace.adapters.sql.models import Base, BucketRow, IdentityRow, KeyGrantRow, UserGrantRow
from headrace.adapters.sql.sessions import SqlSessions
from headrace.adapters.sql.signing_keys import SqlSigningKeys
from headrace.adapters.sql.usage import SqlUsage
from headrace.adapters.sql.users import user_row
from headrace.errors import HeadraceError
from headrace.model.account import (
    ApiKey,
    Identity,
    Link,
    LinkPurpose,
    Session,
    SigningKey,
    Usage,
    UserChanges,
)
from headrace.model.bucket import BucketChanges
from headrace.model.principal import API_KEY, USER, Permission, Role
from tests.contract.records import record, user, user_id

USERS, KEYS, BUCKETS = 200, 1_000, 100
READ = frozenset({Permission.READ})
Statement = tuple[str, Any]


class Town:
    """The adapters on one database, and what they send to it."""

    def __init__(self, database: ControlDatabase) -> None:
        self.database = database
        self.accounts, self.keys, self.sessions = SqlAccounts(database), SqlKeys(database), SqlSessions(database)
        self.buckets, self.usage, self.outbox = SqlBuckets(database), SqlUsage(database), SqlAuditOutbox(database)
        self.signing_keys = SqlSigningKeys(database)

    @contextmanager
    def watched(self) -> Iterator[list[Statement]]:
        sent: list[Statement] = []

        def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
            sent.append((statement, parameters[0] if many else parameters))

        engine = self.database._engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(engine, "before_cursor_execute", note)

    async def settle(self, users: int, keys: int, buckets: int) -> None:
        """Fill it: each user and each key has grants on five buckets, each user a session."""
        async with self.database.changing() as session:
            session.add_all(user_row(user(number)) for number in range(users))
            await session.flush()
            names = [{"name": f"b{number}", "description": "", "created_at": 5} for number in range(buckets)]
            await session.execute(insert(BucketRow), names)
            rows = [
                {"user_id": user_id(number), "bucket_id": (number + more) % buckets + 1, "permission": "read"}
                for number in range(users)
                for more in range(min(5, buckets))
            ]
            await session.execute(insert(UserGrantRow), rows)
            identities = [
                {"issuer": "iss", "subject": f"s-{number}", "user_id": user_id(number), "synced_at": 0}
                for number in range(users)
            ]
            await session.execute(insert(IdentityRow), identities)
            table = Base.metadata.tables["api_keys"]
            await session.execute(insert(table), [api_key_row(number, users) for number in range(keys)])
            grants = [
                {"key_id": f"key-{number:04}", "bucket_id": (number + more) % buckets + 1, "permission": "read"}
                for number in range(keys)
                for more in range(min(5, buckets))
            ]
            await session.execute(insert(KeyGrantRow), grants)
            sessions = [
                {
                    "id": f"s-{number}",
                    "user_id": user_id(number),
                    "secret_sha256": bytes(32),
                    "created_at": 1,
                    "expires_at": 10 + number,
                }
                for number in range(users)
            ]
            await session.execute(insert(Base.metadata.tables["sessions"]), sessions)


def api_key_row(number: int, users: int) -> dict[str, Any]:
    return {
        "id": f"key-{number:04}",
        "name": "k",
        "secret_sha256": bytes(32),
        "role": "user",
        "created_at": 1,
        "owner_id": user_id(number % users),
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


@pytest.fixture
async def town(file: Path) -> AsyncIterator[Town]:
    database = await ControlDatabase.open(f"sqlite:///{file}")
    yield Town(database)
    await database.close()


@pytest.fixture
async def server_town(postgres_url: str) -> AsyncIterator[Town]:
    database = await ControlDatabase.open(postgres_url)
    yield Town(database)
    await database.close()


LOOKUPS: dict[str, Callable[[Town], Awaitable[object]]] = {
    "find_key": lambda town: town.keys.find_key("key-0000"),
    "find_session": lambda town: town.sessions.find_session("s-0"),
    "find_account": lambda town: town.accounts.find_account(user_id(0)),
    "find_identity": lambda town: town.accounts.find_identity("iss", "s-0"),
    "find_login": lambda town: town.accounts.find_login("user-0"),
}


@pytest.mark.parametrize("name", LOOKUPS)
async def test_a_look_up_costs_the_same_in_a_full_town_as_in_an_empty_one(tmp_path: Path, name: str) -> None:
    """Not a matter of time: the statements are the same, and so are the steps that SQLite takes for them."""
    costs = []
    for number, size in enumerate(((5, 5, 5), (USERS, KEYS, BUCKETS))):
        file = tmp_path / f"{number}.db"
        database = await ControlDatabase.open(f"sqlite:///{file}")
        town = Town(database)
        await town.settle(*size)
        with town.watched() as sent:
            assert await LOOKUPS[name](town) is not None
        costs.append([(statement, steps(file, statement, parameters)) for statement, parameters in sent])
        await database.close()
    assert costs[0] == costs[1]
    assert len(costs[0]) <= 2


def steps(file: Path, statement: str, parameters: Any) -> int:
    """Of SQLite's virtual machine."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    with sqlite3.connect(file) as connection:
        connection.set_progress_handler(step, 1)
        connection.execute(statement, parameters).fetchall()
    return count


async def everything(town: Town) -> None:
    """Every method of every adapter of the control data, each with something to find."""
    accounts, keys, sessions, buckets, usage = town.accounts, town.keys, town.sessions, town.buckets, town.usage
    for look_up in LOOKUPS.values():
        await look_up(town)
    # Accounts
    new = user(900, Role.ADMIN)
    identity = Identity("iss", "s-900", new.id, 5)
    await accounts.add_user(new, record(1), identity, Link(b"first", new.id, LinkPurpose.VERIFY, 1, 9))
    await refused(accounts.add_user(user(1), record(2)))
    await accounts.find_user(user_id(1))
    await accounts.sync_identity(Identity("iss", "s-900", new.id, 50), Role.MANAGER, record(3))
    await accounts.list_users(None, 10)
    await accounts.list_users(user_id(5), 10, "first")
    await accounts.update_user(new.id, UserChanges(role=Role.ADMIN, email="x@y.org", password_hash="h"), record(4))
    await refused(accounts.update_user(new.id, UserChanges(email=user(1).email), record(5)))
    await refused(accounts.update_user(new.id, UserChanges(disabled=True), record(6)))
    await accounts.replace_hash(new.id, "h", "i")
    await accounts.put_grant(1, new.id, READ, record(7))
    await accounts.grants_of_bucket(1)
    await accounts.delete_grant(1, new.id, record(8))
    # Keys
    await keys.add_key(ApiKey("new", "n", bytes(32), Role.USER, 1, owner_id=new.id, grants={1: READ}), record(9))
    for owner_id in (None, user_id(1)):
        await keys.list_keys(owner_id, None, 10)
        await keys.list_keys(owner_id, "key-0100", 10)
    await keys.revoke_key("key-0001", record(10))
    await keys.touch({"key-0002": 5, "new": 5})
    # Sessions
    await sessions.add_session(Session("new", user_id(1), bytes(32), 1, 9), user(1).password_hash, record(11))
    await sessions.rotate("new", bytes(32), b"x" * 32, 99)
    await sessions.end_session("new", record(12))
    await sessions.add_link(Link(b"token", new.id, LinkPurpose.RESET, 1, 9), record(13))
    await sessions.find_link(b"token", LinkPurpose.RESET, 5)
    await sessions.use_link(b"token", LinkPurpose.RESET, 5, UserChanges(password_hash="z"), record(14))
    await sessions.sweep(5)
    # Signing keys
    await town.signing_keys.add_signing_key(SigningKey("a", b"a", 1), record(15), retire=False)
    await town.signing_keys.add_signing_key(SigningKey("b", b"b", 2), record(16), retire=True)
    await town.signing_keys.forget_signing_keys(1)
    # Usage
    await usage.add([Usage(5, 1, API_KEY, "new", 1, 1), Usage(5, 1, USER, new.id, 1, 1)])
    await usage.day(5)
    for by in ("bucket", "key", "user"):
        for owner_id in (None, user_id(1)):
            for bucket_ids in (None, [1, 2]):
                await usage.totals(by, 1, 9, owner_id=owner_id, bucket_ids=bucket_ids)  # type: ignore[arg-type]
    await usage.forget(3)
    # Buckets and the end of things
    await buckets.create("new", "", None, 5, record(17), (new.id, READ))
    await buckets.find("new")
    await buckets.update("new", BucketChanges(description="d"), record(18))
    await buckets.delete("new", record(19))
    await buckets.purged(BUCKETS + 1)
    await accounts.delete_user(user_id(3), record(20))
    await town.outbox.add(record(21))
    await town.outbox.pending(10)
    await town.outbox.forwarded([21])


async def refused(change: Awaitable[object]) -> None:
    with pytest.raises(HeadraceError):
        await change


WHOLE = {"signing_keys", "control_version", "buckets", "deleted_buckets"}
"""Tables that are read from end to end on purpose: a handful of rows, or a list of all."""


async def test_no_statement_goes_through_a_whole_table(town: Town, file: Path) -> None:
    await town.settle(USERS, KEYS, BUCKETS)
    with town.watched() as sent:
        await everything(town)
    asked = {statement: parameters for statement, parameters in sent if not statement.startswith(("PRAGMA", "BEGIN"))}
    assert len(asked) > 60
    scans = {
        (scan[1], statement)
        for statement, parameters in asked.items()
        for line in sqlite_plan(file, statement, parameters)
        if (scan := re.match(r"SCAN (\w+)", line)) and scan[1] in Base.metadata.tables and scan[1] not in WHOLE
    }
    outbox = {(table, statement) for table, statement in scans if table == "audit_outbox" and "ORDER BY" in statement}
    assert scans - outbox == set()  # the oldest of the outbox: by its primary key, up to the limit


def sqlite_plan(file: Path, statement: str, parameters: Any) -> list[str]:
    with sqlite3.connect(file) as connection:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]


async def test_no_statement_goes_through_a_whole_table_on_a_server(server_town: Town, postgres_url: str) -> None:
    await server_town.settle(USERS, KEYS, BUCKETS)
    with server_town.watched() as sent:
        await everything(server_town)
    asked = {text: parameters for text, parameters in sent if text.startswith(("SELECT", "UPDATE", "DELETE"))}
    assert len(asked) > 50
    with psycopg.connect(postgres_url) as connection:
        for kind in ("seqscan", "hashjoin", "mergejoin"):  # best for so few rows: is there an index for many?
            connection.execute(f"SET enable_{kind} = off")
        scans = {
            (table, statement)
            for statement, parameters in asked.items()
            for table in whole_tables(server_plan(connection, statement, parameters))
            if table in Base.metadata.tables and table not in WHOLE
        }
    outbox = {(table, statement) for table, statement in scans if table == "audit_outbox" and "ORDER BY" in statement}
    assert scans - outbox == set()


Plan = dict[str, Any]  # Any: what the server says in JSON


def server_plan(connection: psycopg.Connection[Any], statement: str, parameters: Any) -> Plan:
    (row,) = connection.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchall()
    plan: Plan = row[0][0]["Plan"]
    return plan


def whole_tables(plan: Plan) -> Iterator[str]:
    """Tables of which every row is read, be it by way of an index that the question does not narrow."""
    for part in plan.get("Plans", []):
        yield from whole_tables(part)
    if plan["Node Type"] == "Seq Scan" or (plan["Node Type"].startswith("Index") and "Index Cond" not in plan):
        yield plan["Relation Name"]


def test_every_foreign_key_has_an_index_on_its_side() -> None:
    """Or deleting what it refers to would go through the whole table."""
    for table in Base.metadata.tables.values():
        unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
        first = {next(iter(each.columns)).name for each in (table.primary_key, *table.indexes, *unique)}
        assert {key.parent.name for key in table.foreign_keys} <= first, table.name
