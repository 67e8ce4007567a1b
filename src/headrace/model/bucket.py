"""The bucket: a named set of events with its own access and retention."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_BUCKET = "default"
AUDIT_BUCKET = "_audit"


@dataclass(frozen=True, slots=True)
class Quota:
    events_per_second: int | None = None
    bytes_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """`id` never changes and is never used again; `created_at` is µs since 1970; no `retention_days` keeps for ever."""

    id: int
    name: str
    description: str
    retention_days: int | None
    created_at: int
    quota: Quota = Quota()

    @property
    def is_system(self) -> bool:
        """System buckets are written by Headrace alone."""
        return self.name.startswith("_")


@dataclass(frozen=True, slots=True)
class BucketStats:
    """How much is stored, and from when to when (µs)."""

    events: int
    oldest: int | None
    newest: int | None
