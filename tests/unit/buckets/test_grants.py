"""Who may grant what to whom on a bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from headrace.buckets.catalog import BucketCatalog
from headrace.buckets.grants import GrantDesk
from headrace.errors import Forbidden, NotFound
from headrace.model.account import Account, Grant, User
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket
from headrace.model.principal import Permission, Principal, Role
from headrace.ports.accounts import Accounts
from headrace.ports.events import Events
from tests.unit.control import NOW, HandClock, HeldBuckets

READ, WRITE, MANAGE = (frozenset({permission}) for permission in Permission)
ADA = "01890000-0000-7000-8000-000000000001"
ADDRESS = "203.0.113.7"
ADMIN = Principal("k1", "api_key", "bootstrap", Role.ADMIN)


class GrantedAccounts:
    """One user, Ada, and what is granted to her."""

    def __init__(self) -> None:
        self.grants: dict[tuple[int, str], frozenset[Permission]] = {}
        self.audited: list[AuditRecord] = []

    async def find_user(self, user_id: str) -> User | None:
        return User(ADA, "ada", None, Role.USER, 0) if user_id == ADA else None

    async def find_account(self, user_id: str) -> Account | None:
        user = await self.find_user(user_id)
        mine = {bucket: some for (bucket, whose), some in self.grants.items() if whose == user_id}
        return Account(user, mine) if user else None

    async def put_grant(
        self, bucket_id: int, user_id: str, permissions: frozenset[Permission], audit: AuditRecord
    ) -> Grant:
        self.grants[bucket_id, user_id] = permissions
        self.audited.append(audit)
        return Grant(user_id, "ada", permissions)

    async def delete_grant(self, bucket_id: int, user_id: str, audit: AuditRecord) -> None:
        if self.grants.pop((bucket_id, user_id), None) is None:
            raise NotFound("none")
        self.audited.append(audit)

    async def grants_of_bucket(self, bucket_id: int) -> Sequence[Grant]:
        return [Grant(user, "ada", some) for (bucket, user), some in self.grants.items() if bucket == bucket_id]


class Stage:
    def __init__(self) -> None:
        self.buckets = HeldBuckets()
        self.accounts = GrantedAccounts()
        self.forgotten: list[tuple[str, str]] = []
        clock = HandClock()
        self.desk = GrantDesk(
            BucketCatalog(self.buckets, cast("Events", None), clock),
            cast("Accounts", self.accounts),
            clock,
            lambda *whom: self.forgotten.append(whom),
        )

    async def put(
        self, caller: Principal, bucket: str, permissions: frozenset[Permission], user_id: str = ADA
    ) -> Grant:
        return await self.desk.put(caller, bucket, user_id, permissions, ADDRESS)


@pytest.fixture
async def stage() -> Stage:
    made = Stage()
    for name in ("_audit", "_tasks", "billing"):
        await made.buckets.create(name, "", None, 0, None)
    return made


def user(stage: Stage, permissions: frozenset[Permission], bucket: str = "billing", kind: str = "user") -> Principal:
    return Principal("u1", kind, "mia", Role.USER, {stage.buckets.rows[bucket].id: permissions}, owner_id="u1")


def billing(stage: Stage) -> Bucket:
    return stage.buckets.rows["billing"]


@pytest.mark.parametrize("permissions", [READ, WRITE, MANAGE, READ | WRITE, frozenset(Permission)])
async def test_whoever_manages_a_bucket_grants_anything_on_it(stage: Stage, permissions: frozenset[Permission]) -> None:
    for caller in (user(stage, MANAGE), user(stage, MANAGE, kind="api_key"), ADMIN):
        granted = await stage.put(caller, "billing", permissions)
        assert (granted.user_id, granted.username, granted.permissions) == (ADA, "ada", permissions)
    assert stage.accounts.grants == {(billing(stage).id, ADA): permissions}


async def test_a_grant_is_recorded_and_known_at_once(stage: Stage) -> None:
    await stage.put(user(stage, MANAGE), "billing", READ | WRITE, ADA.upper())
    (record,) = stage.accounts.audited
    assert (record.action, record.time, record.actor_id, record.actor_type, record.target_id, record.target_type) == (
        "grant.changed", NOW, "u1", "user", "billing", "bucket",
    )  # fmt: skip
    assert record.attributes == {"user": ADA, "permissions": ["read", "write"], "address": ADDRESS}
    assert stage.forgotten == [("user", ADA)]


async def test_granting_nothing_is_taking_away(stage: Stage) -> None:
    await stage.put(ADMIN, "billing", frozenset())
    assert stage.accounts.audited[0].attributes["permissions"] == []
    assert stage.forgotten == [("user", ADA)]


async def test_a_grant_that_is_taken_away_is_recorded_and_forgotten(stage: Stage) -> None:
    await stage.put(ADMIN, "billing", READ)
    stage.forgotten.clear()
    await stage.desk.delete(user(stage, MANAGE), "billing", ADA, ADDRESS)
    assert stage.accounts.grants == {}
    assert stage.accounts.audited[-1].action == "grant.deleted"
    assert stage.accounts.audited[-1].attributes == {"user": ADA, "address": ADDRESS}
    assert stage.forgotten == [("user", ADA)]
    with pytest.raises(NotFound):
        await stage.desk.delete(ADMIN, "billing", ADA, ADDRESS)


async def test_grants_are_listed_for_who_manages(stage: Stage) -> None:
    await stage.put(ADMIN, "billing", READ)
    assert await stage.desk.list(user(stage, MANAGE), "billing") == [Grant(ADA, "ada", READ)]
    assert await stage.desk.list(ADMIN, "_audit") == []


async def test_what_a_user_may_do_is_shown_to_admins_to_the_user_and_elsewhere_by_who_manages(stage: Stage) -> None:
    for bucket in ("_audit", "billing"):
        await stage.put(ADMIN, bucket, READ)
    ids = {name: (await stage.buckets.find(name)).id for name in ("_audit", "billing")}  # type: ignore[union-attr]
    herself = Principal(ADA, "user", "ada", Role.USER, dict.fromkeys(ids.values(), READ), owner_id=ADA)

    async def shown(caller: Principal) -> list[str]:
        return [bucket.name for bucket, _ in await stage.desk.of_user(caller, ADA)]

    assert await shown(ADMIN) == await shown(herself) == ["_audit", "billing"]
    assert await shown(user(stage, MANAGE)) == ["billing"]
    assert await shown(user(stage, READ | WRITE)) == []
    assert await shown(replace(herself, id="k7", kind="api_key")) == []


@pytest.mark.parametrize("permissions", [READ, WRITE, READ | WRITE])
async def test_who_does_not_manage_is_forbidden_and_who_does_not_see_finds_nothing(
    stage: Stage, permissions: frozenset[Permission]
) -> None:
    stranger = Principal("u9", "user", "bob", Role.MANAGER, {}, owner_id="u9")
    for caller, refusal in ((user(stage, permissions), Forbidden), (stranger, NotFound)):
        for attempt in (
            stage.put(caller, "billing", READ),
            stage.desk.list(caller, "billing"),
            stage.desk.delete(caller, "billing", ADA, ADDRESS),
        ):
            with pytest.raises(refusal):
                await attempt
    assert stage.accounts.audited == []


@pytest.mark.parametrize("user_id", ["01890000-0000-7000-8000-0000000000ff", "ada", "", "\ud800"])
async def test_a_user_who_is_not_there_is_not_found(stage: Stage, user_id: str) -> None:
    with pytest.raises(NotFound) as put:
        await stage.put(ADMIN, "billing", READ, user_id)
    with pytest.raises(NotFound):
        await stage.desk.delete(ADMIN, "billing", user_id, ADDRESS)
    assert put.value.code == "unknown-user"


@pytest.mark.parametrize("permissions", [WRITE, MANAGE, READ | WRITE])
async def test_a_bucket_of_the_system_is_only_ever_read(stage: Stage, permissions: frozenset[Permission]) -> None:
    await stage.put(ADMIN, "_audit", READ)
    with pytest.raises(Forbidden) as refusal:
        await stage.put(ADMIN, "_audit", permissions)
    assert refusal.value.code == "system-bucket"


async def test_on_the_bucket_of_tasks_manage_is_a_right_over_tasks_and_nobody_writes(stage: Stage) -> None:
    await stage.put(ADMIN, "_tasks", READ | MANAGE)
    with pytest.raises(Forbidden) as refusal:
        await stage.put(ADMIN, "_tasks", WRITE)
    assert refusal.value.code == "system-bucket"


async def test_only_admins_grant_on_a_bucket_of_the_system(stage: Stage) -> None:
    caller = user(stage, MANAGE, "_audit")
    for attempt in (stage.put(caller, "_audit", READ), stage.desk.delete(caller, "_audit", ADA, ADDRESS)):
        with pytest.raises(Forbidden):
            await attempt
