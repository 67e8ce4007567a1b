"""What callers may do with buckets, and what the hot path remembers of them."""

from __future__ import annotations

from typing import cast

import pytest

from headrace.buckets.catalog import BucketCatalog
from headrace.errors import Conflict, Forbidden, Invalid, Malformed, NotFound, Unavailable
from headrace.model.bucket import Bucket, BucketStats, Quota
from headrace.model.principal import Permission, Principal, Role
from headrace.ports.events import Events
from tests.unit.control import NOW, HandClock, HeldBuckets

ADMIN = Principal("k1", "api_key", "bootstrap", Role.ADMIN)
STATS = BucketStats(3, 1, 2)


class CountingEvents:
    async def bucket_stats(self, bucket_id: int) -> BucketStats:
        return STATS


class Stage:
    def __init__(self) -> None:
        self.buckets = HeldBuckets()
        self.clock = HandClock()
        self.forgotten: list[tuple[str, str]] = []
        self.catalog = self.another_process()

    def another_process(self) -> BucketCatalog:
        return BucketCatalog(self.buckets, cast("Events", CountingEvents()), self.clock, self._forget)

    def _forget(self, kind: str, id: str) -> None:
        self.forgotten.append((kind, id))

    async def with_billing(self) -> Bucket:
        return await self.catalog.create(ADMIN, "billing", "invoices", 30)


def user(bucket: Bucket, *permissions: Permission) -> Principal:
    return Principal("u1", "user", "ada", Role.USER, {bucket.id: frozenset(permissions)})


async def test_a_new_bucket_is_there_and_audited() -> None:
    stage = Stage()
    made = await stage.with_billing()
    assert (made.name, made.description, made.retention_days, made.created_at) == ("billing", "invoices", 30, NOW)
    assert await stage.catalog.resolve("billing") == made
    (record,) = stage.buckets.audited
    assert (record.action, record.actor_id, record.actor_type, record.target_id, record.target_type, record.time) == (
        "bucket.created", "k1", "api_key", "billing", "bucket", NOW,
    )  # fmt: skip
    assert record.attributes == {"description": "invoices", "retention_days": 30}


@pytest.mark.parametrize("role", [Role.MANAGER, Role.ADMIN])
async def test_a_user_who_makes_a_bucket_may_do_everything_there_and_is_known_anew(role: Role) -> None:
    stage = Stage()
    await stage.catalog.create(Principal("u7", "user", "mia", role), "shipping")
    assert stage.buckets.granted == [("shipping", "u7", frozenset(Permission))]
    assert stage.forgotten == [("user", "u7")]


async def test_the_bootstrap_key_makes_buckets_without_grants_of_its_own() -> None:
    stage = Stage()
    await stage.with_billing()
    assert stage.buckets.granted == []
    assert stage.forgotten == []


@pytest.mark.parametrize("kind", ["user", "api_key", "viewer"])
async def test_whoever_manages_one_bucket_may_not_make_another(kind: str) -> None:
    stage = Stage()
    billing = await stage.with_billing()
    with pytest.raises(Forbidden):
        await stage.catalog.create(Principal("x", kind, "x", Role.USER, {billing.id: frozenset(Permission)}), "other")
    assert list(stage.buckets.rows) == ["billing"]


@pytest.mark.parametrize("name", ["a", "0", "a.b-c_d", "a" * 63, "9..", "a_"])
async def test_good_names(name: str) -> None:
    assert (await Stage().catalog.create(ADMIN, name)).name == name


@pytest.mark.parametrize(
    "name", ["", "A", "a" * 64, ".a", "-a", "a b", "a/b", "ä", "a\n", "a\0", "٣", "a%2f", "..", "\ud800", "ａ"]
)
async def test_bad_names_are_invalid_at_the_name(name: str) -> None:
    stage = Stage()
    with pytest.raises(Invalid) as refusal:
        await stage.catalog.create(ADMIN, name)
    assert [item.field for item in refusal.value.items] == ["name"]
    with pytest.raises(NotFound):
        await stage.catalog.resolve(name)
    with pytest.raises(NotFound):
        await stage.catalog.describe(ADMIN, name)
    assert stage.buckets.asked == []


async def test_what_one_sees_is_measured_where_one_may_read_and_bounded() -> None:
    stage = Stage()
    billing, inbox, _secret = [await stage.catalog.create(ADMIN, name) for name in ("billing", "inbox", "secret")]
    grants = {billing.id: frozenset({Permission.READ}), inbox.id: frozenset({Permission.WRITE})}
    caller = Principal("u1", "user", "ada", Role.USER, grants)
    assert await stage.catalog.measured(caller, 10) == ([(billing, STATS), (inbox, None)], 2)
    assert await stage.catalog.measured(caller, 1) == ([(billing, STATS)], 2)


async def test_names_of_the_system_cannot_be_made() -> None:
    with pytest.raises(Forbidden):
        await Stage().catalog.create(ADMIN, "_mine")


async def test_a_taken_name_is_a_conflict() -> None:
    stage = Stage()
    await stage.with_billing()
    with pytest.raises(Conflict):
        await stage.with_billing()


@pytest.mark.parametrize("days", [0, -1, 36_501, 10**30])
async def test_retention_out_of_range_is_invalid_at_its_field(days: int) -> None:
    stage = Stage()
    await stage.with_billing()
    for attempt in (
        stage.catalog.create(ADMIN, "other", "", days),
        stage.catalog.update(ADMIN, "billing", retention_days=days),
    ):
        with pytest.raises(Invalid) as refusal:
            await attempt
        assert [item.field for item in refusal.value.items] == ["retention_days"]


@pytest.mark.parametrize("text", ["x" * 1_001, "a\0b", "half a pair: \ud83e"])
async def test_a_description_that_cannot_be_kept_is_invalid_at_its_field(text: str) -> None:
    stage = Stage()
    await stage.with_billing()
    for attempt in (
        stage.catalog.create(ADMIN, "other", text),
        stage.catalog.update(ADMIN, "billing", description=text),
    ):
        with pytest.raises(Invalid) as refusal:
            await attempt
        assert [item.field for item in refusal.value.items] == ["description"]


async def test_a_description_of_a_thousand_characters_is_kept() -> None:
    text = "🦀\r\n\t" * 250
    assert (await Stage().catalog.create(ADMIN, "a", text)).description == text


async def test_an_update_changes_what_it_names_and_is_audited_with_that() -> None:
    stage = Stage()
    await stage.with_billing()
    changed = await stage.catalog.update(ADMIN, "billing", retention_days=None)
    assert (changed.description, changed.retention_days) == ("invoices", None)
    assert stage.buckets.audited[-1].action == "bucket.updated"
    assert stage.buckets.audited[-1].attributes == {"retention_days": None}


async def test_an_update_of_nothing_changes_and_records_nothing() -> None:
    stage = Stage()
    made = await stage.with_billing()
    assert await stage.catalog.update(ADMIN, "billing") == made
    assert await stage.catalog.update(ADMIN, "billing", quota={}) == made
    assert len(stage.buckets.audited) == 1


async def test_a_quota_is_merged_and_null_takes_a_part_or_all_of_it_away() -> None:
    stage = Stage()
    await stage.with_billing()

    async def after(quota: dict[str, int | None] | None) -> Quota:
        return (await stage.catalog.update(ADMIN, "billing", quota=quota)).quota

    assert await after({"events_per_second": 5}) == Quota(5, None)
    assert await after({"bytes_per_day": 2**53 - 1}) == Quota(5, 2**53 - 1)
    assert await after({"events_per_second": None}) == Quota(None, 2**53 - 1)
    assert await after(None) == Quota(None, None)


@pytest.mark.parametrize(
    ("quota", "field"),
    [
        ({"events_per_second": 0}, "quota.events_per_second"),
        ({"bytes_per_day": -1}, "quota.bytes_per_day"),
        ({"bytes_per_day": 2**63}, "quota.bytes_per_day"),
        ({"id": 9}, "quota.id"),
    ],
)
async def test_a_bad_quota_is_invalid_at_its_field(quota: dict[str, int | None], field: str) -> None:
    stage = Stage()
    await stage.with_billing()
    with pytest.raises(Invalid) as refusal:
        await stage.catalog.update(ADMIN, "billing", quota=quota)
    assert [item.field for item in refusal.value.items] == [field]


async def test_a_deletion_needs_the_name_as_confirmation() -> None:
    stage = Stage()
    made = await stage.with_billing()
    for confirm in (None, "", "Billing", "other"):
        with pytest.raises(Malformed) as refusal:
            await stage.catalog.delete(ADMIN, "billing", confirm)
        assert [item.field for item in refusal.value.items] == ["confirm"]
    await stage.catalog.delete(ADMIN, "billing", "billing")
    assert [gone.id for gone in stage.buckets.gone] == [made.id]
    assert stage.buckets.audited[-1].action == "bucket.deleted"
    assert stage.catalog.cached("billing") is None
    with pytest.raises(NotFound):
        await stage.catalog.resolve("billing")


async def test_the_buckets_that_are_always_there_are_made_once_and_cannot_be_deleted() -> None:
    stage = Stage()
    await stage.catalog.ensure_system_buckets()
    await stage.another_process().ensure_system_buckets()
    assert [bucket.name for bucket in await stage.catalog.list(ADMIN)] == ["_audit", "_tasks", "default"]
    for name in ("_audit", "default"):
        with pytest.raises(Forbidden):
            await stage.catalog.delete(ADMIN, name, name)


async def test_the_retention_of_the_audit_bucket_can_be_set() -> None:
    stage = Stage()
    await stage.catalog.ensure_system_buckets()
    assert (await stage.catalog.update(ADMIN, "_audit", retention_days=365)).retention_days == 365


async def test_a_caller_sees_what_there_are_grants_for_and_the_rest_is_not_there() -> None:
    stage = Stage()
    billing = await stage.with_billing()
    await stage.catalog.create(ADMIN, "secret")
    reader = user(billing, Permission.READ)
    assert await stage.catalog.list(reader) == [billing]
    assert await stage.catalog.describe(reader, "billing") == (billing, STATS)
    for attempt in (
        stage.catalog.describe(reader, "secret"),
        stage.catalog.update(reader, "secret", description="mine"),
        stage.catalog.delete(reader, "secret", "secret"),
        stage.catalog.delete(reader, "secret", None),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_reading_is_not_managing_and_writing_is_not_reading() -> None:
    stage = Stage()
    billing = await stage.with_billing()
    reader, writer = user(billing, Permission.READ), user(billing, Permission.WRITE)
    for attempt in (
        stage.catalog.create(reader, "other"),
        stage.catalog.update(reader, "billing", description="mine"),
        stage.catalog.delete(reader, "billing", "billing"),
        stage.catalog.describe(writer, "billing"),
    ):
        with pytest.raises(Forbidden):
            await attempt
    manager = user(billing, Permission.MANAGE)
    await stage.catalog.update(manager, "billing", description="ours")
    await stage.catalog.delete(manager, "billing", "billing")


async def test_the_hot_path_finds_a_bucket_without_waiting_for_five_seconds() -> None:
    stage = Stage()
    made = await stage.with_billing()
    other = stage.another_process()
    assert other.cached("billing") is None
    assert await other.resolve("billing") == made
    stage.clock.seconds = 4.9
    assert other.cached("billing") == made
    stage.clock.seconds = 5.0
    assert other.cached("billing") is None


async def test_own_changes_show_at_once_and_those_of_another_process_after_five_seconds() -> None:
    stage = Stage()
    await stage.with_billing()
    other = stage.another_process()
    await other.resolve("billing")
    await stage.catalog.update(ADMIN, "billing", description="new")
    assert (await stage.catalog.resolve("billing")).description == "new"
    assert (await other.resolve("billing")).description == "invoices"
    stage.clock.seconds = 5.0
    assert (await other.resolve("billing")).description == "new"


async def test_a_bucket_that_another_process_has_just_made_is_found_at_once() -> None:
    stage = Stage()
    other = stage.another_process()
    with pytest.raises(NotFound):
        await other.resolve("billing")
    await stage.with_billing()
    assert (await other.resolve("billing")).name == "billing"


async def test_without_control_data_known_buckets_take_events_and_unknown_ones_are_unavailable() -> None:
    stage = Stage()
    await stage.with_billing()
    stage.buckets.down = True
    stage.clock.seconds = 100.0
    assert (await stage.catalog.resolve("billing")).name == "billing"
    with pytest.raises(Unavailable):
        await stage.catalog.resolve("shipping")
