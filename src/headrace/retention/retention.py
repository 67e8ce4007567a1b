"""Retention: a step deletes what is due, everywhere; a worker only loops it. It can stop at any point and be repeated.

Events of a deleted bucket may still come: from the queue, from a request whose body is on its way, from a process
that remembers the bucket. So each step deletes them again, until the queue holds nothing that was accepted within
an hour of the deletion; only then is the bucket forgotten.
"""

from __future__ import annotations

from headrace.errors import Unavailable
from headrace.kit.times import DAY, HOUR, MINUTE, SECOND
from headrace.model.bucket import Bucket, DeletedBucket
from headrace.model.metric import RETENTION_DELETED
from headrace.ports.buckets import Buckets
from headrace.ports.clock import Clock
from headrace.ports.events import Events
from headrace.ports.metrics import Metrics
from headrace.ports.queue import Queue
from headrace.ports.recent import Recent

# Longer than anything takes from knowing a bucket to its block in the queue (5 s of memory, a slow body of minutes),
# and than the clocks of several machines differ.
_MARGIN = HOUR
_JUMP = MINUTE  # by less a clock is put right while it runs
DEDUP_WINDOW = 24 * HOUR


class Retention:
    def __init__(
        self,
        buckets: Buckets,
        events: Events,
        recent: Recent,
        queue: Queue,
        metrics: Metrics,
        clock: Clock,
        dedup_window: int = DEDUP_WINDOW,
    ) -> None:
        """`dedup_window` in µs: how long an id that a client chose is remembered at least."""
        self._buckets = buckets
        self._events = events
        self._recent = recent
        self._queue = queue
        self._metrics = metrics
        self._clock = clock
        self._dedup_window = dedup_window
        self._well_since: float | None = None
        """Since when (monotonic) no step has failed and nobody has set the clock."""
        self._offset = clock.now() - clock.monotonic() * SECOND
        """Of the time of day, from seconds that never jump."""

    async def step(self) -> int:
        """Delete what is due; how many events went. One bucket that fails keeps no other from its turn.

        Raises Unavailable after the others had theirs.
        """
        well_since, self._well_since = self._well_until_now(), None
        deleted = await self._delete(well_since)
        self._well_since = well_since
        return deleted

    def _well_until_now(self) -> float:
        now = self._clock.monotonic()
        offset = self._clock.now() - now * SECOND
        jumped, self._offset = abs(offset - self._offset) > _JUMP, offset
        return now if self._well_since is None or jumped else self._well_since

    async def _delete(self, well_since: float) -> int:
        deleted, failure = 0, None
        oldest_queued = await self._oldest_queued()
        for bucket in await self._buckets.list():
            try:
                deleted += await self._expire(bucket)
            except Unavailable as exc:
                failure = exc
        for gone in await self._buckets.deleted():
            try:
                deleted += await self._purge(gone, oldest_queued)
            except Unavailable as exc:
                failure = exc
        if failure is not None:
            raise failure
        await self._forget(oldest_queued, well_since)
        return deleted

    async def _oldest_queued(self) -> int:
        """No block that was accepted before this time (µs) waits in the queue: now, when it is empty."""
        now = self._clock.now()  # before the question: what comes in between is newer
        depth = await self._queue.depth()
        return now - (round(depth.oldest_seconds * SECOND) if depth.blocks else 0)

    async def _expire(self, bucket: Bucket) -> int:
        if bucket.retention_days is None:
            return 0
        count = await self._events.delete_before(bucket.id, self._clock.now() - bucket.retention_days * DAY)
        if count:
            self._recent.forget(bucket.id)
            self._metrics.add(RETENTION_DELETED, count)
        return count

    async def _purge(self, gone: DeletedBucket, oldest_queued: int) -> int:
        count = await self._events.delete_bucket(gone.id)
        self._recent.forget(gone.id)
        if oldest_queued > gone.deleted_at + _MARGIN:  # measured before the events were deleted: none can be left
            await self._buckets.purged(gone.id)
        return count

    async def _forget(self, oldest_queued: int, well_since: float) -> None:
        """Block ids outlive their blocks in the queue; ids of clients outlive the window of each event in there.

        While a database was away a block may have gone into a spool although the queue had taken it, and when the clock
        was set what was stored a moment ago looks old: nothing is forgotten until an hour has passed since, nor in the
        first hour of a process, which does not know what was before it.
        """
        if self._clock.monotonic() - well_since >= _MARGIN / SECOND:
            await self._events.forget(
                blocks_before=oldest_queued - _MARGIN,
                ids_before=oldest_queued - self._dedup_window,
            )
