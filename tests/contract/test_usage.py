"""What every adapter of `ports/usage` promises."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.keys import SqlKeys
from headrace.adapters.sql.usage import SqlUsage
from headrace.errors import Conflict
from headrace.model.account import ApiKey, Usage, UsageLine
from headrace.model.bucket import BucketChanges
from headrace.model.principal import API_KEY, USER, Role
from headrace.ports.usage import UsageLedger
from tests.contract.records import record, user

ADA, BOB = user(1), user(2)
LINE = Usage(20_000, 1, API_KEY, "key-a", 10, 1_000)
QUOTA_A, QUOTA_B = (
    {"events_per_second": person.quota.events_per_second, "bytes_per_day": person.quota.bytes_per_day}
    for person in (ADA, BOB)
)


@pytest.fixture
def ledger(control: ControlDatabase) -> UsageLedger:
    return SqlUsage(control)


@pytest.fixture
async def town(control: ControlDatabase, ledger: UsageLedger) -> UsageLedger:
    """Two buckets; Ada with two keys, Bob with one, one key of the system; all of them sent on days 1 and 2."""
    buckets, accounts, keys = SqlBuckets(control), SqlAccounts(control), SqlKeys(control)
    for number, person in enumerate((ADA, BOB), 1):
        await accounts.add_user(person, record(number))
        await buckets.create(f"bucket-{number}", "", None, 5, None)
    await buckets.update("bucket-1", BucketChanges(events_per_second=5), record(3))
    owners = {"key-a": ADA.id, "key-b": ADA.id, "key-c": BOB.id, "key-s": None}
    for number, (key_id, owner) in enumerate(owners.items(), 10):
        limit = 7 if key_id == "key-a" else None
        name = f"name of {key_id}"
        key = ApiKey(key_id, name, bytes(32), Role.USER, 1, owner_id=owner, rate_limit=limit)
        await keys.add_key(key, record(number))
    await ledger.add(
        [
            Usage(1, 1, API_KEY, "key-a", 1, 10),
            Usage(1, 2, API_KEY, "key-a", 2, 20),
            Usage(1, 1, API_KEY, "key-b", 4, 40),
            Usage(1, 1, API_KEY, "key-c", 8, 80),
            Usage(1, 1, API_KEY, "key-s", 16, 160),
            Usage(1, 1, USER, ADA.id, 32, 320),
            Usage(2, 2, USER, BOB.id, 64, 640),
        ]
    )
    return ledger


async def test_what_is_added_is_there_and_sums_up(ledger: UsageLedger) -> None:
    assert await ledger.day(20_000) == []
    await ledger.add([LINE])
    await ledger.add([LINE, replace(LINE, events=1, bytes=1), replace(LINE, day=20_001)])
    await ledger.add([])
    assert await ledger.day(20_000) == [replace(LINE, events=21, bytes=2_001)]
    assert await ledger.day(20_001) == [replace(LINE, day=20_001)]


async def test_a_day_is_in_order_of_buckets_and_credentials(ledger: UsageLedger) -> None:
    lines = [
        replace(LINE, bucket_id=bucket_id, kind=kind, principal_id=principal_id)
        for bucket_id in (2, 10)
        for kind, principal_id in ((API_KEY, "a"), (API_KEY, "b"), (USER, "a"))
    ]
    await ledger.add(list(reversed(lines)))
    assert await ledger.day(20_000) == lines


async def test_large_numbers_keep_every_digit(ledger: UsageLedger) -> None:
    await ledger.add([replace(LINE, events=2**53, bytes=2**62)])
    await ledger.add([replace(LINE, events=1, bytes=1)])
    assert await ledger.day(20_000) == [replace(LINE, events=2**53 + 1, bytes=2**62 + 1)]
    (total,) = await ledger.totals("key", 0, 30_000, owner_id=None, bucket_ids=None)
    assert (total.events, total.bytes) == (2**53 + 1, 2**62 + 1)


async def test_ten_who_add_at_once_are_all_counted(ledger: UsageLedger) -> None:
    await asyncio.gather(*(ledger.add([LINE, replace(LINE, bucket_id=2)]) for _ in range(10)))
    assert [(line.events, line.bytes) for line in await ledger.day(20_000)] == [(100, 10_000)] * 2


async def test_a_thousand_lines_are_added_in_one_go_or_not_at_all(ledger: UsageLedger) -> None:
    lines = [replace(LINE, principal_id=f"key-{number:04}") for number in range(1_000)]
    await ledger.add(lines)
    await ledger.add(lines)
    assert [line.events for line in await ledger.day(20_000)] == [20] * 1_000
    bad = replace(LINE, principal_id="last", events=-1)  # no ledger counts backwards
    with pytest.raises(Conflict):
        await ledger.add([*lines, bad])
    assert [line.events for line in await ledger.day(20_000)] == [20] * 1_000


async def test_totals_by_bucket_have_its_name_and_quota(town: UsageLedger) -> None:
    assert await town.totals("bucket", 1, 3, owner_id=None, bucket_ids=None) == [
        UsageLine(2, "2", "bucket-2", 64, 640),
        UsageLine(1, "1", "bucket-1", 61, 610, {"events_per_second": 5}),
        UsageLine(1, "2", "bucket-2", 2, 20),
    ]


async def test_totals_by_key_have_its_name_and_limit(town: UsageLedger) -> None:
    assert await town.totals("key", 1, 3, owner_id=None, bucket_ids=None) == [
        UsageLine(1, "key-a", "name of key-a", 3, 30, {"events_per_second": 7}),
        UsageLine(1, "key-b", "name of key-b", 4, 40),
        UsageLine(1, "key-c", "name of key-c", 8, 80),
        UsageLine(1, "key-s", "name of key-s", 16, 160),
    ]


async def test_totals_by_user_count_what_their_keys_sent(town: UsageLedger) -> None:
    assert await town.totals("user", 1, 3, owner_id=None, bucket_ids=None) == [
        UsageLine(2, BOB.id, BOB.username, 64, 640, QUOTA_B),
        UsageLine(1, ADA.id, ADA.username, 39, 390, QUOTA_A),
        UsageLine(1, BOB.id, BOB.username, 8, 80, QUOTA_B),
    ]


async def test_buckets_are_in_order_of_their_numbers(ledger: UsageLedger) -> None:
    await ledger.add([replace(LINE, bucket_id=bucket_id) for bucket_id in (10, 9, 100)])
    totals = await ledger.totals("bucket", 0, 30_000, owner_id=None, bucket_ids=None)
    assert [line.id for line in totals] == ["9", "10", "100"]


async def test_the_first_day_is_in_and_the_last_is_not(town: UsageLedger) -> None:
    for since, until, days in ((1, 2, {1}), (2, 3, {2}), (1, 1, set()), (0, 1, set()), (3, 9, set()), (2, 1, set())):
        totals = await town.totals("bucket", since, until, owner_id=None, bucket_ids=None)
        assert {line.day for line in totals} == days


async def test_an_owner_sees_what_was_sent_by_them_and_by_their_keys(town: UsageLedger) -> None:
    by_user = await town.totals("user", 1, 3, owner_id=ADA.id, bucket_ids=None)
    by_key = await town.totals("key", 1, 3, owner_id=ADA.id, bucket_ids=None)
    by_bucket = await town.totals("bucket", 1, 3, owner_id=ADA.id, bucket_ids=None)
    assert [(line.id, line.events) for line in by_user] == [(ADA.id, 39)]
    assert [(line.id, line.events) for line in by_key] == [("key-a", 3), ("key-b", 4)]
    assert [(line.id, line.events) for line in by_bucket] == [("1", 37), ("2", 2)]
    assert await town.totals("user", 1, 3, owner_id="nobody", bucket_ids=None) == []


async def test_a_user_with_the_id_of_a_key_is_not_the_key(town: UsageLedger) -> None:
    await town.add([Usage(1, 1, USER, "key-a", 1_000, 1), Usage(1, 1, API_KEY, ADA.id, 1_000, 1)])
    mine = await town.totals("bucket", 1, 2, owner_id=ADA.id, bucket_ids=None)
    assert [(line.id, line.events) for line in mine] == [("1", 37), ("2", 2)]


async def test_only_what_went_into_the_given_buckets_counts(town: UsageLedger) -> None:
    only = await town.totals("user", 1, 3, owner_id=None, bucket_ids=[2, 99])
    assert [(line.day, line.id, line.events) for line in only] == [(2, BOB.id, 64), (1, ADA.id, 2)]
    both = await town.totals("key", 1, 3, owner_id=ADA.id, bucket_ids=[2])
    assert [(line.id, line.events) for line in both] == [("key-a", 2)]
    assert await town.totals("bucket", 1, 3, owner_id=None, bucket_ids=[]) == []


async def test_usage_of_what_was_deleted_stays_without_a_name(town: UsageLedger, control: ControlDatabase) -> None:
    await SqlBuckets(control).delete("bucket-1", record(100))
    await SqlAccounts(control).delete_user(ADA.id, record(101))
    (bucket, _) = await town.totals("bucket", 1, 2, owner_id=None, bucket_ids=None)
    assert bucket == UsageLine(1, "1", None, 61, 610)
    (ada, _) = await town.totals("user", 1, 2, owner_id=None, bucket_ids=None)
    assert ada == UsageLine(1, ADA.id, None, 39, 390)
    (key, *_) = await town.totals("key", 1, 2, owner_id=None, bucket_ids=None)
    assert key.name == "name of key-a"  # revoked, but its row is there
    await town.add([Usage(1, 1, API_KEY, "never-there", 1, 1)])
    (line, *_) = reversed(await town.totals("key", 1, 2, owner_id=None, bucket_ids=None))
    assert line == UsageLine(1, "never-there", None, 1, 1)


async def test_days_before_are_forgotten(ledger: UsageLedger) -> None:
    await ledger.add([replace(LINE, day=day) for day in (1, 2, 3)])
    await ledger.forget(3)
    assert [len(await ledger.day(day)) for day in (1, 2, 3)] == [0, 0, 1]
