"""What every adapter of `ports/keys` promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.keys import SqlKeys
from headrace.errors import Conflict, NotFound
from headrace.model.account import Account, ApiKey, KnownKey
from headrace.model.principal import Permission, Role
from headrace.ports.keys import Keys
from tests.contract.records import audited, record, user

KEY = ApiKey("abcdefghijklmnop", "deploy", bytes(range(224, 256)), Role.ADMIN, 1_700_000_000_000_000)
ADA, BOB = user(1), user(2)
READ, WRITE, MANAGE = (frozenset({permission}) for permission in Permission)


@pytest.fixture
def keys(control: ControlDatabase) -> Keys:
    return SqlKeys(control)


async def bucket(control: ControlDatabase, name: str = "billing") -> int:
    return (await SqlBuckets(control).create(name, "", None, 5, None)).id


async def owners(control: ControlDatabase) -> None:
    for number, owner in enumerate((ADA, BOB), 501):
        await SqlAccounts(control).add_user(owner, record(number))


def numbered(number: int, **fields: object) -> ApiKey:
    return replace(KEY, id=f"key-{number:04}", **fields)  # type: ignore[arg-type]


async def test_a_key_comes_back_as_it_was_stored(keys: Keys) -> None:
    expiring = replace(KEY, id="qrstuvwxyz234567", role=Role.USER, expires_at=5)
    await keys.add_key(KEY, record(1))
    await keys.add_key(expiring, record(2))
    assert await keys.find_key(KEY.id) == KnownKey(KEY, None)
    assert await keys.find_key(expiring.id) == KnownKey(expiring, None)


async def test_a_key_of_a_user_comes_with_all_that_it_and_its_owner_may_do(
    keys: Keys, control: ControlDatabase
) -> None:
    await owners(control)
    one, two, three = [await bucket(control, name) for name in ("one", "two", "three")]
    accounts = SqlAccounts(control)
    await accounts.put_grant(two, ADA.id, READ | WRITE, record(1))
    await accounts.put_grant(three, ADA.id, MANAGE, record(2))
    await accounts.put_grant(one, BOB.id, MANAGE, record(3))
    full = replace(
        KEY,
        name="ü" * 200,
        role=Role.USER,
        expires_at=2**62,
        owner_id=ADA.id,
        rate_limit=2**53,
        last_used_at=8,
        revoked_at=9,
        grants={one: READ, two: READ | WRITE | MANAGE},
    )
    await keys.add_key(full, record(4))
    assert await keys.find_key(KEY.id) == KnownKey(full, Account(ADA, {two: READ | WRITE, three: MANAGE}))


async def test_a_key_without_grants_has_none_of_its_owners(keys: Keys, control: ControlDatabase) -> None:
    await owners(control)
    await SqlAccounts(control).put_grant(await bucket(control), ADA.id, MANAGE, record(1))
    await keys.add_key(replace(KEY, owner_id=ADA.id), record(2))
    found = await keys.find_key(KEY.id)
    assert found is not None
    assert found.key.grants == {}


async def test_an_unknown_id_is_none(keys: Keys) -> None:
    await keys.add_key(KEY, record(1))
    for unknown in ("abcdefghijklmno_", "abcdefghijklmno%", KEY.id.upper(), KEY.id + " ", ""):
        assert await keys.find_key(unknown) is None


async def test_the_same_id_again_changes_and_records_nothing(keys: Keys, control: ControlDatabase) -> None:
    there = await bucket(control)
    await keys.add_key(KEY, record(1))
    await keys.revoke_key(KEY.id, record(2, time=7))
    again = replace(KEY, name="another", secret_sha256=bytes(32), grants={there: WRITE})
    await keys.add_key(again, record(3))
    assert await keys.find_key(KEY.id) == KnownKey(replace(KEY, revoked_at=7), None)
    assert await audited(control) == [1, 2]


async def test_of_ten_who_add_a_key_at_once_none_fails_and_one_is_recorded(
    keys: Keys, control: ControlDatabase
) -> None:
    there = await bucket(control)
    key = replace(KEY, grants={there: WRITE})
    await asyncio.gather(*(keys.add_key(key, record(number)) for number in range(1, 11)))
    assert len(await audited(control)) == 1


async def test_a_key_for_a_bucket_or_an_owner_that_is_not_there_is_not_added(
    keys: Keys, control: ControlDatabase
) -> None:
    there = await bucket(control)
    for bad in (replace(KEY, grants={there: READ, there + 1: READ}), replace(KEY, owner_id=ADA.id)):
        with pytest.raises(NotFound):
            await keys.add_key(bad, record(1))
    assert await keys.find_key(KEY.id) is None
    assert await audited(control) == []


async def test_a_deleted_bucket_takes_its_grants_along_and_leaves_the_others(
    keys: Keys, control: ControlDatabase
) -> None:
    buckets, accounts = SqlBuckets(control), SqlAccounts(control)
    await owners(control)
    gone, stays = await bucket(control), await bucket(control, "shipping")
    for number, there in enumerate((gone, stays), 1):
        await accounts.put_grant(there, ADA.id, MANAGE, record(number))
    await keys.add_key(replace(KEY, owner_id=ADA.id, grants={gone: READ, stays: WRITE}), record(3))
    await buckets.delete("billing", record(4))
    known = await keys.find_key(KEY.id)
    assert known is not None
    assert known.owner is not None
    assert (known.key.grants, known.owner.grants) == ({stays: WRITE}, {stays: MANAGE})
    await buckets.create("billing", "", None, 5, None)  # another bucket of that name is nobody's
    assert await keys.find_key(KEY.id) == known


async def test_a_list_has_the_owners_good_keys_in_order_of_ids(keys: Keys, control: ControlDatabase) -> None:
    await owners(control)
    one, two = await bucket(control, "one"), await bucket(control, "two")
    made = {
        3: numbered(3, owner_id=ADA.id, grants={one: READ | WRITE, two: MANAGE}),
        1: numbered(1, owner_id=ADA.id, grants={two: READ}),
        2: numbered(2, owner_id=BOB.id, grants={one: READ}),
        4: numbered(4, owner_id=ADA.id, expires_at=5),
        5: numbered(5),
        6: numbered(6, owner_id=ADA.id),
    }
    for number, key in made.items():
        await keys.add_key(key, record(number))
    await keys.revoke_key("key-0006", record(7))
    assert await keys.list_keys(ADA.id, None, 10) == [made[1], made[3], made[4]]
    assert await keys.list_keys(ADA.id, None, 2) == [made[1], made[3]]
    assert await keys.list_keys(ADA.id, "key-0001", 1) == [made[3]]
    assert await keys.list_keys(None, None, 10) == [made[number] for number in (1, 2, 3, 4, 5)]
    assert await keys.list_keys(None, "key-0003", 10) == [made[4], made[5]]
    assert await keys.list_keys("nobody", None, 10) == []


async def test_a_revoked_key_keeps_its_row_from_the_records_time_on(keys: Keys, control: ControlDatabase) -> None:
    there = await bucket(control)
    key = replace(KEY, grants={there: READ})
    await keys.add_key(key, record(1))
    await keys.revoke_key(KEY.id, record(2, time=77))
    assert await keys.find_key(KEY.id) == KnownKey(replace(key, revoked_at=77), None)
    assert await audited(control) == [1, 2]


async def test_what_is_not_there_or_revoked_already_cannot_be_revoked(keys: Keys, control: ControlDatabase) -> None:
    await keys.add_key(KEY, record(1))
    results = await asyncio.gather(
        *(keys.revoke_key(KEY.id, record(10 + number, time=number)) for number in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, NotFound) for result in results) == 4
    with pytest.raises(NotFound):
        await keys.revoke_key("unknown", record(20))
    assert len(await audited(control)) == 2


async def test_a_revocation_and_its_record_are_written_both_or_neither(keys: Keys, control: ControlDatabase) -> None:
    await keys.add_key(KEY, record(1))
    with pytest.raises(Conflict):
        await keys.revoke_key(KEY.id, record(1))
    with pytest.raises(Conflict):
        await keys.add_key(numbered(2), record(1))
    assert await keys.list_keys(None, None, 10) == [KEY]


async def test_the_time_of_the_last_use_only_moves_forward(keys: Keys) -> None:
    for number in (1, 2, 3):
        await keys.add_key(numbered(number), record(number))
    await keys.touch({"key-0001": 100, "key-0002": 100, "unknown": 100})
    await keys.touch({"key-0001": 50, "key-0002": 2**62})
    await keys.touch({})
    used = [key.last_used_at for key in await keys.list_keys(None, None, 10)]
    assert used == [100, 2**62, None]


async def test_a_use_at_the_beginning_of_time_is_one(keys: Keys) -> None:
    await keys.add_key(KEY, record(1))
    await keys.touch({KEY.id: 0})
    assert await keys.find_key(KEY.id) == KnownKey(replace(KEY, last_used_at=0), None)


async def test_a_key_added_while_its_owner_is_deleted_is_dead(keys: Keys, control: ControlDatabase) -> None:
    await owners(control)
    added, _ = await asyncio.gather(
        keys.add_key(replace(KEY, owner_id=ADA.id), record(1)),
        SqlAccounts(control).delete_user(ADA.id, record(2)),
        return_exceptions=True,
    )
    known = await keys.find_key(KEY.id)
    if isinstance(added, NotFound):
        assert known is None
    else:
        assert known is not None
        assert (known.owner, known.key.owner_id) == (None, ADA.id)
        assert known.key.revoked_at is not None
