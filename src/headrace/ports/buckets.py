"""Buckets in the control data. A change and the record of it (for `_audit`) are one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket, BucketChanges, DeletedBucket
from headrace.model.principal import Permission


class Buckets(Protocol):
    """Raises Unavailable when the control data cannot be reached."""

    async def create(
        self,
        name: str,
        description: str,
        retention_days: int | None,
        created_at: int,
        audit: AuditRecord | None,
        grant: tuple[str, frozenset[Permission]] | None = None,
        shard: int = 0,
    ) -> Bucket:
        """With `grant`, this user may do that there, in the same transaction. `shard` is recorded for good.

        Raises Conflict when the name is taken. The id is never one that a deleted bucket had.
        """

    async def list(self) -> Sequence[Bucket]:
        """All, by name."""

    async def find(self, name: str) -> Bucket | None:
        """The bucket of that name."""

    async def shard_of(self, bucket_id: int) -> int | None:
        """Where the events of the bucket with this id are kept, also of a deleted one that is not purged yet."""

    async def update(self, name: str, changes: BucketChanges, audit: AuditRecord) -> Bucket:
        """Change what `changes` names and nothing else, so that two changes at once both count. Raises NotFound."""

    async def delete(self, name: str, audit: AuditRecord) -> Bucket:
        """Take the bucket away at once, and remember that its events are to be deleted. Raises NotFound.

        It counts as deleted at the audit record's time. All grants on it are gone. Its name is free again; its id
        never is.
        """

    async def deleted(self) -> Sequence[DeletedBucket]:
        """Deleted buckets whose events may still be there, or still come out of the queue."""

    async def purged(self, bucket_id: int) -> None:
        """The events of a deleted bucket are gone, and none can come any more: forget it."""
