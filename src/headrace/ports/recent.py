"""The newest events of each bucket, at hand without asking the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.event import EventBatch, StoredEvent, Written


class Recent(Protocol):
    """A top N by (time, id) with a floor: it answers only what lies wholly above the floor. Slower when lost, never
    wrong: a miss sends the caller to the store."""

    def load(self, bucket_id: int, events: Sequence[StoredEvent], complete: bool) -> None:
        """Start from the newest events of the store, newest first; `complete`: the bucket has no others."""

    def add(self, batch: EventBatch, written: Written) -> None:
        """Take in what was just committed."""

    def latest(self, bucket_id: int, limit: int) -> Sequence[StoredEvent] | None:
        """The newest `limit` (fewer only if the bucket has no more), or None when it cannot tell."""

    def forget(self, bucket_id: int) -> None:
        """Events were deleted: know nothing of this bucket until it is loaded again."""
