"""What is deleted, when, and what is left for a later step."""

from __future__ import annotations

from typing import cast

import pytest

from headrace.errors import QueryTimeout, Unavailable
from headrace.kit.times import DAY, HOUR, MINUTE, SECOND
from headrace.model.audit import AuditRecord
from headrace.model.block import QueueDepth
from headrace.model.bucket import Bucket, BucketChanges
from headrace.model.metric import RETENTION_DELETED, Metric
from headrace.ports.events import Events
from headrace.ports.metrics import Metrics
from headrace.ports.queue import Queue
from headrace.ports.recent import Recent
from headrace.retention.retention import Retention
from tests.unit.control import HandClock, HeldBuckets


class Store:
    """Events as (bucket, time)."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int]] = []
        self.forgotten_before: tuple[int, int] | None = None
        self.broken: set[int] = set()

    async def delete_before(self, bucket_id: int, time: int) -> int:
        return self._delete(bucket_id, time)

    async def delete_bucket(self, bucket_id: int) -> int:
        return self._delete(bucket_id, 2**62)

    async def forget(self, blocks_before: int, ids_before: int) -> None:
        self.forgotten_before = (blocks_before, ids_before)

    def _delete(self, bucket_id: int, time: int) -> int:
        if bucket_id in self.broken:
            raise QueryTimeout("slow")
        kept = [row for row in self.rows if row[0] != bucket_id or row[1] >= time]
        count = len(self.rows) - len(kept)
        self.rows = kept
        return count


class Cache:
    def __init__(self) -> None:
        self.forgot: list[int] = []

    def forget(self, bucket_id: int) -> None:
        self.forgot.append(bucket_id)


class Backlog:
    def __init__(self) -> None:
        self.oldest: int | None = None  # when it was put, in µs
        self.clock = HandClock()

    async def depth(self) -> QueueDepth:
        if self.oldest is None:
            return QueueDepth(0, 0, 0, 0.0)
        return QueueDepth(1, 1, 1, (self.clock.now() - self.oldest) / SECOND)


class Counted:
    def __init__(self) -> None:
        self.total = 0.0

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        assert metric is RETENTION_DELETED
        self.total += amount


class Stage:
    def __init__(self) -> None:
        self.buckets, self.store, self.cache = HeldBuckets(), Store(), Cache()
        self.queue, self.metrics = Backlog(), Counted()
        self.clock = self.queue.clock
        self.retention = Retention(
            self.buckets,
            cast("Events", self.store),
            cast("Recent", self.cache),
            cast("Queue", self.queue),
            cast("Metrics", self.metrics),
            self.clock,
        )

    async def bucket(self, name: str, days: int | None = None) -> Bucket:
        return await self.buckets.create(name, "", days, 0, None)

    async def deleted_bucket(self, name: str) -> Bucket:
        bucket = await self.bucket(name)
        now = self.clock.now()
        await self.buckets.delete(name, AuditRecord(1, now, "bucket.deleted", "a", "b", name, "bucket"))
        return bucket

    def wait(self, duration: int) -> int:
        self.clock.seconds += duration / SECOND
        return self.clock.now()


async def test_events_past_their_retention_go_and_the_others_stay() -> None:
    stage = Stage()
    week, ever = await stage.bucket("week", 7), await stage.bucket("ever")
    now = stage.clock.now()
    old, young = now - 7 * DAY - 1, now - 7 * DAY
    stage.store.rows = [(week.id, old), (week.id, young), (ever.id, old), (ever.id, 0)]
    assert await stage.retention.step() == 1
    assert stage.store.rows == [(week.id, young), (ever.id, old), (ever.id, 0)]
    assert stage.metrics.total == 1


async def test_the_recent_cache_is_told_of_a_deletion_and_only_then() -> None:
    stage = Stage()
    week = await stage.bucket("week", 7)
    await stage.retention.step()
    assert stage.cache.forgot == []
    stage.store.rows = [(week.id, 0)]
    await stage.retention.step()
    assert stage.cache.forgot == [week.id]


async def test_a_changed_retention_counts_from_the_next_step() -> None:
    stage = Stage()
    bucket = await stage.bucket("billing")
    stage.store.rows = [(bucket.id, stage.clock.now() - 2 * DAY)]
    assert await stage.retention.step() == 0
    record = AuditRecord(1, 0, "bucket.updated", "a", "b", "billing", "bucket")
    await stage.buckets.update("billing", BucketChanges(retention_days=1), record)
    assert await stage.retention.step() == 1


async def test_the_events_of_a_deleted_bucket_go_at_once_and_those_of_others_stay() -> None:
    stage = Stage()
    gone, kept = await stage.deleted_bucket("gone"), await stage.bucket("kept")
    stage.store.rows = [(gone.id, 1), (gone.id, 2), (kept.id, 1)]
    assert await stage.retention.step() == 2
    assert stage.store.rows == [(kept.id, 1)]
    assert stage.cache.forgot == [gone.id]


async def test_events_that_come_out_of_the_queue_after_the_deletion_go_too() -> None:
    stage = Stage()
    gone = await stage.deleted_bucket("gone")
    stage.queue.oldest = stage.clock.now() - MINUTE  # a block from before
    await stage.retention.step()
    for _ in range(3):  # the backlog is long
        stage.wait(DAY)
        assert await stage.retention.step() == 0
        assert [tomb.id for tomb in stage.buckets.gone] == [gone.id]
    stage.store.rows = [(gone.id, 1)]  # now it is drained
    stage.queue.oldest = None
    assert await stage.retention.step() == 1
    assert stage.buckets.gone == []


async def test_a_deleted_bucket_is_remembered_for_an_hour_for_what_was_on_its_way() -> None:
    stage = Stage()
    gone = await stage.deleted_bucket("gone")
    stage.wait(HOUR)
    await stage.retention.step()
    assert [tomb.id for tomb in stage.buckets.gone] == [gone.id]
    stage.store.rows = [(gone.id, 1)]
    stage.wait(1)
    assert await stage.retention.step() == 1
    assert stage.buckets.gone == []


async def test_a_new_block_in_the_queue_does_not_keep_an_old_deletion_open() -> None:
    stage = Stage()
    await stage.deleted_bucket("gone")
    stage.queue.oldest = stage.wait(2 * HOUR)
    await stage.retention.step()
    assert stage.buckets.gone == []


async def test_one_bucket_that_fails_keeps_no_other_from_its_turn() -> None:
    stage = Stage()
    slow, quick, gone = await stage.bucket("a-slow", 1), await stage.bucket("b", 1), await stage.deleted_bucket("c")
    stage.store.rows = [(slow.id, 0), (quick.id, 0), (gone.id, 0)]
    stage.store.broken = {slow.id}
    with pytest.raises(QueryTimeout):
        await stage.retention.step()
    assert stage.store.rows == [(slow.id, 0)]
    stage.store.broken = set()
    assert await stage.retention.step() == 1


async def test_without_control_data_nothing_is_deleted() -> None:
    stage = Stage()
    bucket = await stage.bucket("week", 7)
    stage.store.rows = [(bucket.id, 0)]
    stage.buckets.down = True
    with pytest.raises(Unavailable):
        await stage.retention.step()
    assert stage.store.rows == [(bucket.id, 0)]


async def test_block_ids_are_kept_an_hour_longer_than_the_oldest_block_in_the_queue() -> None:
    stage = Stage()
    stage.wait(30 * DAY)
    await stage.retention.step()
    now = stage.wait(HOUR)
    await stage.retention.step()
    assert stage.store.forgotten_before == (now - HOUR, now - DAY)
    stage.queue.oldest = now - 3 * DAY
    await stage.retention.step()
    assert stage.store.forgotten_before == (now - 3 * DAY - HOUR, now - 3 * DAY - DAY)


async def test_after_a_start_and_after_an_outage_nothing_is_forgotten_for_an_hour() -> None:
    stage = Stage()
    stage.wait(30 * DAY)
    await stage.retention.step()
    assert stage.store.forgotten_before is None, "this process does not know what was before it"
    stage.wait(HOUR)
    stage.buckets.down = True
    with pytest.raises(Unavailable):
        await stage.retention.step()
    stage.buckets.down = False
    stage.wait(HOUR // 2)
    await stage.retention.step()
    assert stage.store.forgotten_before is None, "a spool may have a block that is stored already"
    now = stage.wait(HOUR)
    await stage.retention.step()
    assert stage.store.forgotten_before == (now - HOUR, now - DAY)


async def test_a_clock_that_is_set_makes_nothing_old() -> None:
    stage = Stage()
    await stage.retention.step()
    stage.wait(2 * HOUR)
    stage.clock.set_by = DAY
    await stage.retention.step()
    assert stage.store.forgotten_before is None
    now = stage.wait(HOUR)
    await stage.retention.step()
    assert stage.store.forgotten_before == (now - HOUR, now - DAY)
