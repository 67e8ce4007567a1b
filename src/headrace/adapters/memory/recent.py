"""The newest events of each bucket in this process: rows as they were committed, made into events when asked for.

A floor (time, id) parts what is known from what is not: every event of the bucket that reaches the floor is here.
It starts at the bottom (all is known) or above the oldest loaded event, and rises when rows are dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from headrace.adapters.memory.recent_bucket import RecentBucket
from headrace.adapters.memory.recent_rows import rows_by_bucket
from headrace.model.event import EventBatch, StoredEvent, Written

CAPACITY = 1_000
MAX_BUCKETS = 1_000
MAX_BYTES = 64 * 1024 * 1024

_LEAST = 128  # what each of very many buckets keeps of one batch at least: enough for a page


class MemoryRecent:
    """Bounded by buckets and bytes: what was not read for longest goes first. Not for use from several threads.

    A capacity of 0 keeps nothing. Any other is two more inside: one tells a full page whether there is a next one, and
    the oldest that a load brings is not known to be the only one at its place.
    """

    def __init__(self, capacity: int = CAPACITY, *, max_buckets: int = MAX_BUCKETS, max_bytes: int = MAX_BYTES) -> None:
        self._capacity = capacity + 2 if capacity else 0
        self._max_buckets = max_buckets
        self._max_bytes = max_bytes
        self._buckets: OrderedDict[int, RecentBucket] = OrderedDict()

    @property
    def capacity(self) -> int:
        return self._capacity

    def expect(self, bucket_id: int) -> object | None:
        if not self._capacity:
            return None
        bucket = self._buckets.get(bucket_id)
        if bucket is None:
            bucket = self._buckets[bucket_id] = RecentBucket(self._capacity, self._max_bytes // 4)
            self._evict()
        return None if bucket.loaded else bucket

    def load(self, bucket_id: int, ticket: object, events: Sequence[StoredEvent], complete: bool) -> None:
        bucket = self._buckets.get(bucket_id)
        if bucket is None or bucket is not ticket or bucket.loaded:
            return
        bucket.load(events, complete)
        self._evict()

    def add(self, batch: EventBatch, written: Written) -> None:
        if not written.stored or not self._buckets:
            return
        groups = rows_by_bucket(batch, written)
        room = max(_LEAST, self._capacity // len(groups))
        for bucket_id, rows in groups.items():
            bucket = self._buckets.get(bucket_id)
            if bucket is not None:
                bucket.add(batch, rows, room)
        self._evict()

    def latest(self, bucket_id: int, limit: int) -> Sequence[StoredEvent] | None:
        bucket = self._buckets.get(bucket_id)
        if bucket is None or not bucket.loaded:
            return None
        self._buckets.move_to_end(bucket_id)
        return bucket.latest(limit)

    def forget(self, bucket_id: int) -> None:
        self._buckets.pop(bucket_id, None)

    def _evict(self) -> None:
        size = sum(bucket.bytes for bucket in self._buckets.values())
        while self._buckets and (len(self._buckets) > self._max_buckets or size > self._max_bytes):
            _, bucket = self._buckets.popitem(last=False)
            size -= bucket.bytes
