"""The bucket: a named set of events with its own access and retention."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import Final

DEFAULT_BUCKET = "default"
AUDIT_BUCKET = "_audit"


@dataclass(frozen=True, slots=True)
class Quota:
    events_per_second: int | None = None
    bytes_per_day: int | None = None


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class Bucket:
    """`id` never changes and is never used again; `created_at` is µs since 1970; no `retention_days` keeps for ever.
    `shard` is the event store that keeps its events, chosen once."""

    id: int
    name: str
    description: str
    retention_days: int | None
    created_at: int
    quota: Quota = NO_QUOTA
    shard: int = 0

    @property
    def is_system(self) -> bool:
        """System buckets are written by Headrace alone."""
        return self.name.startswith("_")


class Unset(Enum):
    """What a change leaves as it is; None already means "none" (keep for ever, no limit)."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True)
class BucketChanges:
    """The settings of a bucket that a change names; the others stay, whoever changes them meanwhile."""

    description: str | Unset = UNSET
    retention_days: int | Unset | None = UNSET
    events_per_second: int | Unset | None = UNSET
    bytes_per_day: int | Unset | None = UNSET

    def named(self) -> dict[str, str | int | None]:
        """Only those that are to change."""
        values = ((part.name, getattr(self, part.name)) for part in fields(self))
        return {name: value for name, value in values if value is not UNSET}


@dataclass(frozen=True, slots=True)
class DeletedBucket:
    """A bucket that is gone, while events of it may still turn up. `deleted_at` is µs since 1970."""

    id: int
    deleted_at: int


@dataclass(frozen=True, slots=True)
class BucketStats:
    """How much is stored, and from when to when (µs)."""

    events: int
    oldest: int | None
    newest: int | None
