"""What the visitor's buckets hold: events, their share, and about how much room they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.model.bucket import Bucket, BucketStats
from headrace.model.permission import allowed
from headrace.model.principal import Permission, Principal
from headrace.services import Services

MOST = 200  # rows: each is one cheap question to the store; Administration has them all


@dataclass(frozen=True, slots=True)
class Row:
    """`share`: of the events of all rows, in percent. `bytes` is an estimate, and None where the visitor may not know
    the size of the whole store. `stats` is None where the visitor may only write."""

    bucket: Bucket
    stats: BucketStats | None
    share: float
    bytes: float | None


@dataclass(frozen=True, slots=True)
class Storage:
    rows: Sequence[Row]
    events: int
    newest: int | None
    more: int
    """Buckets that have no row."""
    writable: str | None
    """A bucket that the visitor may send events to."""

    @property
    def is_empty(self) -> bool:
        """Nobody has sent anything to any bucket that the visitor may see (what Headrace itself records does not
        count), and there is something to be done about it. Whoever may only write cannot know."""
        known = all(row.stats is not None for row in self.rows) and not self.more
        sent = any(row.stats.events for row in self.rows if row.stats and not row.bucket.is_system)
        return known and not sent and (self.writable is not None or not self.rows)


async def storage(services: Services, visitor: Principal, store: tuple[float, float] | None) -> Storage:
    """`store`: (events, bytes) of the whole store, for those who may know it. Raises Unavailable and its kin."""
    found, total = await services.buckets.measured(visitor, MOST)
    events = sum(stats.events for _, stats in found if stats)
    newest = [stats.newest for _, stats in found if stats and stats.newest is not None]
    rows = sorted((_row(bucket, stats, events, store) for bucket, stats in found), key=_largest_first)
    writable = [bucket.name for bucket, _ in found if allowed(visitor, bucket, Permission.WRITE)]
    preferred = "default" if "default" in writable else next(iter(writable), None)
    return Storage(rows, events, max(newest, default=None), total - len(found), preferred)


def _row(bucket: Bucket, stats: BucketStats | None, events: int, store: tuple[float, float] | None) -> Row:
    count = stats.events if stats else 0
    share = 100 * count / events if events else 0.0
    size = None if store is None or stats is None else store[1] * count / store[0] if store[0] else 0.0
    return Row(bucket, stats, share, size)


def _largest_first(row: Row) -> tuple[int, str]:
    return -(row.stats.events if row.stats else 0), row.bucket.name
