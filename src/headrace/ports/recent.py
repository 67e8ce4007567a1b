"""The newest events of each bucket, at hand without asking the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.event import EventBatch, StoredEvent, Written


class Recent(Protocol):
    """A top N by (time, id) with a floor: it answers only what lies wholly above the floor. Slower when lost, never
    wrong: a miss sends the caller to the store.

    A bucket is loaded in three steps, since events are added and deleted while the store is read: `expect`, read the
    store, `load`.
    """

    @property
    def capacity(self) -> int:
        """N: how many events a load should bring, and the most that `latest` can answer."""

    def expect(self, bucket_id: int) -> object | None:
        """A ticket for `load`, or None when the bucket is loaded. From now on what is added to it is remembered."""

    def load(self, bucket_id: int, ticket: object, events: Sequence[StoredEvent], complete: bool) -> None:
        """Start from the newest events of the store, newest first, read after `expect`; `complete`: it has no others.

        Does nothing when the bucket was forgotten since the ticket was given.
        """

    def add(self, batch: EventBatch, written: Written) -> None:
        """Take in what was just committed. On the event loop; 100,000 events in order of time take a few ms."""

    def latest(self, bucket_id: int, limit: int) -> Sequence[StoredEvent] | None:
        """The newest `limit`, newest first (fewer only if the bucket has no more), or None when it cannot tell."""

    def forget(self, bucket_id: int) -> None:
        """Events were deleted: know nothing of this bucket until it is loaded again."""
