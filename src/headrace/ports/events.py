"""The event store: columns in, pages and groups out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from headrace.model.bucket import BucketStats
from headrace.model.event import EventBatch, StoredEvent, Written
from headrace.model.query import EVERYTHING, EventFilter, FacetValue, GroupField, HistogramBar, Search

TOO_LONG = "the query took too long and was stopped: ask for less time, or filter more"
TOO_MANY = "too many queries at once: try again in a moment"
TOO_LONG_A_LINE = "the queries before this one take too long: try again in a moment"
"""What a reader is told by QueryTimeout, and by Overloaded at once or after waiting: the same of every store."""


class Events(Protocol):
    """Exactly once: a block written again is skipped, an id that a client chose is stored once in the dedup window.

    Every read is bounded: QueryTimeout after the limit, Overloaded when too many run at once. Any method raises
    Unavailable when the store cannot be reached or the disk is full; `write` then has changed nothing, or
    everything (and a repeat is skipped by its block ids).
    """

    async def write(self, batch: EventBatch) -> Written:
        """Store `batch` and the ids of its blocks in one durable transaction.

        Left out: rows of blocks that are stored already, and rows in `batch.chosen` whose (bucket, id) was stored
        within the dedup window or comes earlier in the batch (the first content wins). Raises Poison if the data
        itself cannot be stored, and PartlyStored when what it has for some buckets cannot be stored now.
        """

    async def check(self, batch: EventBatch) -> None:
        """Raise Poison if `write` would; change nothing. Slow: only for finding which event it is."""

    async def stored_blocks(self, block_ids: Iterable[int], bucket_id: int) -> frozenset[int]:
        """Those of `block_ids` whose events of this bucket are stored (and not yet forgotten)."""

    async def search(self, search: Search) -> Sequence[StoredEvent]:
        """One page, ordered by (time, id)."""

    async def get(self, bucket_id: int, event_id: int, filter: EventFilter = EVERYTHING) -> StoredEvent | None:
        """The event with this id, if it matches."""

    async def histogram(
        self, bucket_id: int, filter: EventFilter, interval: int, by: GroupField | None
    ) -> Sequence[HistogramBar]:
        """Counts by interval (µs, aligned to 1970), in order of time; empty intervals are left out."""

    async def time_range(self, bucket_id: int, filter: EventFilter) -> tuple[int, int] | None:
        """The times of the oldest and the newest event that match, or None."""

    async def facets(
        self, bucket_id: int, filter: EventFilter, fields: Sequence[str], limit: int
    ) -> dict[str, list[FacetValue]]:
        """The values of each of `fields` (see FACET_FIELDS), most frequent first, absent ones left out."""

    async def after(
        self, bucket_id: int, filter: EventFilter, seq: int, limit: int
    ) -> tuple[Sequence[StoredEvent], int]:
        """Up to `limit` events stored after position `seq`, in order of storing, and the position to go on from.

        That position is the last one looked at, so that a filter that matches nothing still moves on.
        """

    async def last_seq(self, bucket_id: int) -> int:
        """The newest position where this bucket is kept; 0 when nothing is."""

    async def latest(self, bucket_id: int, limit: int) -> Sequence[StoredEvent]:
        """The newest `limit` events by (time, id), newest first: what the recent cache is loaded from."""

    async def bucket_stats(self, bucket_id: int) -> BucketStats:
        """Cheap enough to be called for each bucket of a list."""

    async def delete_before(self, bucket_id: int, time: int) -> int:
        """Delete events with time < `time` (µs) for good, so that their space is used again; how many went."""

    async def delete_bucket(self, bucket_id: int) -> int:
        """Delete every event of a bucket; how many went."""

    async def forget(self, blocks_before: int, ids_before: int) -> None:
        """Forget ids of blocks stored before, and client-chosen ids seen before these times (µs)."""

    async def size(self) -> tuple[int, int]:
        """(events, bytes on disk)."""

    def trouble(self, bucket_id: int) -> str | None:
        """Why nothing more should be taken in for this bucket: its store has been away, and others share the queue.

        None while all is well, or the queue can bridge it. Costs nothing.
        """

    async def backup(self, directory: str) -> None:
        """Write a consistent copy into `directory` while running."""

    async def close(self) -> None:
        """Stop running reads, finish a running write, let go of every resource."""
