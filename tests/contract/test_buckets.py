"""What every adapter of `ports/buckets` promises."""

from __future__ import annotations

import asyncio

import pytest

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.errors import Conflict, NotFound
from headrace.model.account import Account, Grant
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket, BucketChanges, DeletedBucket, Quota
from headrace.model.principal import Permission
from headrace.ports.buckets import Buckets
from tests.contract.records import audited, record, user, user_id


@pytest.fixture
def buckets(control: ControlDatabase) -> Buckets:
    return SqlBuckets(control)


async def test_a_created_bucket_is_found_and_listed_by_name(buckets: Buckets) -> None:
    zebra = await buckets.create("zebra", "stripes", 30, 5, record(1))
    await buckets.create("ant", "", None, 6, None)
    assert zebra == Bucket(zebra.id, "zebra", "stripes", 30, 5, Quota(None, None))
    assert await buckets.find("zebra") == zebra
    assert [bucket.name for bucket in await buckets.list()] == ["ant", "zebra"]


async def test_a_name_that_nobody_has_is_not_found(buckets: Buckets) -> None:
    await buckets.create("billing", "", None, 5, None)
    assert await buckets.find("billin_") is None
    assert await buckets.find("billing%") is None


async def test_whoever_makes_a_bucket_may_be_granted_it_in_the_same_transaction(
    buckets: Buckets, control: ControlDatabase
) -> None:
    accounts = SqlAccounts(control)
    await accounts.add_user(user(1), record(1))
    everything = frozenset(Permission)
    made = await buckets.create("billing", "", None, 5, record(2), (user_id(1), everything))
    assert await accounts.grants_of_bucket(made.id) == [Grant(user_id(1), "user-1", everything)]
    with pytest.raises(Conflict, match="billing"):
        await buckets.create("billing", "", None, 5, record(3), (user_id(1), everything))
    with pytest.raises(NotFound):
        await buckets.create("shipping", "", None, 5, record(4), (user_id(2), everything))
    assert await buckets.list() == [made]
    assert await audited(control) == [1, 2]


async def test_a_deleted_bucket_takes_the_grants_of_users_along(buckets: Buckets, control: ControlDatabase) -> None:
    accounts = SqlAccounts(control)
    await accounts.add_user(user(1), record(1))
    read = frozenset({Permission.READ})
    gone = await buckets.create("billing", "", None, 5, None, (user_id(1), read))
    stays = await buckets.create("shipping", "", None, 5, None, (user_id(1), read))
    await buckets.delete("billing", record(2))
    assert await accounts.grants_of_bucket(gone.id) == []
    assert await accounts.find_account(user_id(1)) == Account(user(1), {stays.id: read})


async def test_a_taken_name_is_a_conflict_and_leaves_no_audit_record(
    buckets: Buckets, control: ControlDatabase
) -> None:
    await buckets.create("billing", "", None, 5, record(1))
    with pytest.raises(Conflict, match="billing"):
        await buckets.create("billing", "another", None, 6, record(2))
    assert await audited(control) == [1]


async def test_of_ten_who_want_a_name_at_once_one_gets_it(buckets: Buckets) -> None:
    attempts = [buckets.create("billing", str(number), None, 5, record(number)) for number in range(1, 11)]
    results = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(result, Bucket) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 9


async def test_an_update_changes_what_it_names_and_nothing_else(buckets: Buckets, control: ControlDatabase) -> None:
    made = await buckets.create("billing", "old", 30, 5, None)
    changes = BucketChanges(retention_days=None, events_per_second=100)
    updated = await buckets.update("billing", changes, record(1))
    assert updated == Bucket(made.id, "billing", "old", None, 5, Quota(100, None))
    assert await buckets.find("billing") == updated
    assert await audited(control) == [1]


async def test_updates_of_different_settings_at_once_both_count(buckets: Buckets) -> None:
    await buckets.create("billing", "", None, 5, None)
    await asyncio.gather(
        buckets.update("billing", BucketChanges(description="new"), record(1)),
        buckets.update("billing", BucketChanges(bytes_per_day=2**53 - 1), record(2)),
    )
    found = await buckets.find("billing")
    assert found is not None
    assert (found.description, found.quota) == ("new", Quota(None, 2**53 - 1))


async def test_what_is_not_there_cannot_be_changed_or_deleted(buckets: Buckets, control: ControlDatabase) -> None:
    with pytest.raises(NotFound):
        await buckets.update("billing", BucketChanges(description="new"), record(1))
    with pytest.raises(NotFound):
        await buckets.delete("billing", record(2))
    assert await audited(control) == []


async def test_a_deleted_bucket_is_gone_and_remembered_until_it_is_purged(
    buckets: Buckets, control: ControlDatabase
) -> None:
    made = await buckets.create("billing", "", None, 5, None)
    assert await buckets.delete("billing", record(1, "bucket.deleted", time=77)) == made
    assert await buckets.find("billing") is None
    assert await buckets.list() == []
    assert await buckets.deleted() == [DeletedBucket(made.id, 77)]
    assert await audited(control) == [1]
    await buckets.purged(made.id)
    assert await buckets.deleted() == []


async def test_a_name_can_be_used_again_and_an_id_never(buckets: Buckets) -> None:
    seen = set()
    for number in range(1, 4):
        made = await buckets.create("billing", "", None, 5, None)
        seen.add(made.id)
        await buckets.delete("billing", record(number))
        await buckets.purged(made.id)
    assert len(seen) == 3


async def test_ids_are_not_used_again_after_a_restart(
    buckets: Buckets, control: ControlDatabase, control_url: str
) -> None:
    first = await buckets.create("billing", "", None, 5, None)
    await buckets.delete("billing", record(1))
    await buckets.purged(first.id)
    await control.close()
    again = await ControlDatabase.open(control_url)
    second = await SqlBuckets(again).create("billing", "", None, 5, None)
    await again.close()
    assert second.id > first.id


async def test_a_change_and_its_record_are_written_both_or_neither(buckets: Buckets, control: ControlDatabase) -> None:
    await buckets.create("billing", "", None, 5, record(1))
    taken: AuditRecord = record(1)  # its id is used, so that it cannot be written
    with pytest.raises(Conflict):
        await buckets.create("shipping", "", None, 5, taken)
    with pytest.raises(Conflict):
        await buckets.update("billing", BucketChanges(description="new"), taken)
    with pytest.raises(Conflict):
        await buckets.delete("billing", taken)
    assert [(bucket.name, bucket.description) for bucket in await buckets.list()] == [("billing", "")]
    assert await buckets.deleted() == []
    assert await audited(control) == [1]


async def test_texts_come_back_as_they_were(buckets: Buckets) -> None:
    text = "naïve 🦀 'quotes' \\ % _ \r\n\t; DROP TABLE buckets; --" * 10
    await buckets.create("billing", text, None, 2**62, None)
    found = await buckets.find("billing")
    assert found is not None
    assert (found.description, found.created_at) == (text, 2**62)


async def test_names_are_in_the_same_order_on_every_engine(buckets: Buckets) -> None:
    names = ["0", "a", "a-b", "a.c", "a_d", "aa", "ab"]
    for name in reversed(names):
        await buckets.create(name, "", None, 5, None)
    assert [bucket.name for bucket in await buckets.list()] == names
