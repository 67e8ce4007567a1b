"""The catalog of buckets: what callers may do with them, and the short memory that the hot path asks.

Each change is one transaction with the record of it for `_audit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.buckets import rules
from headrace.errors import Conflict, Forbidden, ItemError, Malformed, Unavailable
from headrace.kit.lookup import Lookup
from headrace.model.audit import AuditRecord
from headrace.model.bucket import AUDIT_BUCKET, DEFAULT_BUCKET, UNSET, Bucket, BucketStats, Unset
from headrace.model.permission import allowed, may_see, require, require_bucket_maker, unknown_bucket
from headrace.model.principal import USER, Forget, Permission, Principal, nothing_to_forget
from headrace.model.task_journal import TASKS_BUCKET
from headrace.ports.buckets import Buckets
from headrace.ports.clock import Clock
from headrace.ports.events import Events

_FRESH_SECONDS = 5.0
_STALE_SECONDS = 15 * 60.0  # while the control data cannot be reached: as long as credentials stay good
_REMEMBERED = 10_000
_SYSTEM = {
    DEFAULT_BUCKET: "Events that have no other place",
    AUDIT_BUCKET: "What administrators did and who signed in",
    TASKS_BUCKET: "What happened to tasks, and what their handlers logged",
}


class BucketCatalog:
    """`resolve` and `cached` are for callers that check permissions themselves; everything else takes a principal.

    All raise Unavailable when the control data cannot be reached.
    """

    def __init__(
        self,
        buckets: Buckets,
        events: Events,
        clock: Clock,
        forget: Forget = nothing_to_forget,
        shards: int = 1,
    ) -> None:
        """`shards`: over how many event stores new buckets spread."""
        self._buckets = buckets
        self._events = events
        self._clock = clock
        self._forget = forget
        self._shards = shards
        # What is not there is asked for each time: a bucket that another process has just made must be found.
        self._lookup: Lookup[str, Bucket] = Lookup(
            buckets.find,
            clock.monotonic,
            Unavailable,
            fresh=_FRESH_SECONDS,
            stale=_STALE_SECONDS,
            size=_REMEMBERED,
        )
        self.cached = self._lookup.cached
        """(name) -> the bucket if it was seen less than 5 s ago, else None, which says nothing. Never waits."""

    async def resolve(self, name: str) -> Bucket:
        """The bucket, as it was at most 5 s ago (changes of this process show at once). Raises NotFound."""
        bucket = await self._lookup.get(name) if rules.is_name(name) else None
        if bucket is None:
            raise unknown_bucket(name)
        return bucket

    async def ensure_system_buckets(self) -> None:
        """`default`, `_audit` and `_tasks` are there when this returns."""
        for name, description in _SYSTEM.items():
            if await self._buckets.find(name) is None:
                try:
                    await self._buckets.create(name, description, None, self._clock.now(), None)
                except Conflict:
                    continue  # another process starts too

    async def create(
        self, principal: Principal, name: str, description: str = "", retention_days: int | None = None
    ) -> Bucket:
        """A new bucket; a user who makes one manages it from the start, which credentials of this user show at once.

        Raises Forbidden, Invalid, and Conflict when the name is taken.
        """
        require_bucket_maker(principal)
        rules.check_new_name(name)
        rules.check_settings(description, retention_days)
        settings = {"description": description, "retention_days": retention_days}
        audit = self._audit(principal, "bucket.created", name, settings)
        grant = (principal.id, frozenset(Permission)) if principal.kind == USER else None
        shard = rules.shard_of(name, self._shards)
        bucket = await self._buckets.create(name, description, retention_days, audit.time, audit, grant, shard)
        self._lookup.put(name, bucket)
        if grant is not None:
            self._forget(USER, principal.id)
        return bucket

    async def list(self, principal: Principal) -> Sequence[Bucket]:
        """Those the caller may see, by name."""
        return [bucket for bucket in await self._buckets.list() if may_see(principal, bucket)]

    async def measured(
        self, principal: Principal, most: int
    ) -> tuple[Sequence[tuple[Bucket, BucketStats | None]], int]:
        """Of those the caller may see the first `most`, each with how much is in it (None where the caller may not read
        it), and how many there are in all."""
        seen = await self.list(principal)
        found: list[tuple[Bucket, BucketStats | None]] = []
        for bucket in seen[:most]:
            readable = allowed(principal, bucket, Permission.READ)
            found.append((bucket, await self._events.bucket_stats(bucket.id) if readable else None))
        return found, len(seen)

    async def describe(self, principal: Principal, name: str) -> tuple[Bucket, BucketStats]:
        """The bucket and how much is in it. Raises NotFound, and Forbidden."""
        bucket = await self.permitted(principal, name, Permission.READ)
        return bucket, await self._events.bucket_stats(bucket.id)

    async def update(
        self,
        principal: Principal,
        name: str,
        *,
        description: str | Unset = UNSET,
        retention_days: int | Unset | None = UNSET,
        quota: Mapping[str, int | None] | Unset | None = UNSET,
    ) -> Bucket:
        """Change what is given; `retention_days=None` keeps for ever. Raises NotFound, Forbidden and Invalid."""
        bucket = await self.permitted(principal, name, Permission.MANAGE)
        changes = rules.changes(description, retention_days, quota)
        if not changes.named():
            return bucket
        audit = self._audit(principal, "bucket.updated", name, changes.named())
        bucket = await self._buckets.update(name, changes, audit)
        self._lookup.put(name, bucket)
        return bucket

    async def delete(self, principal: Principal, name: str, confirm: str | None) -> None:
        """Take the bucket away now, and its events soon after. Raises NotFound, Forbidden, and Malformed unless
        `confirm` is the name."""
        await self.permitted(principal, name, Permission.MANAGE)
        if name in _SYSTEM or name.startswith("_"):
            raise Forbidden(f"Bucket {name!r} is always there: it cannot be deleted.", code="system-bucket")
        if confirm != name:
            detail = f"to delete the bucket with all its events, add ?confirm={name}"
            raise Malformed(f"Not confirmed: {detail}.", items=[ItemError("not-confirmed", detail, field="confirm")])
        await self._buckets.delete(name, self._audit(principal, "bucket.deleted", name, {}))
        self._lookup.drop(name)

    async def permitted(self, principal: Principal, name: str, permission: Permission) -> Bucket:
        """The bucket as it is now, not as it was remembered. Raises NotFound and Forbidden."""
        bucket = await self._buckets.find(name) if rules.is_name(name) else None
        if bucket is None:
            raise unknown_bucket(name)
        require(principal, bucket, permission)
        return bucket

    def _audit(self, principal: Principal, action: str, name: str, attributes: Mapping[str, object]) -> AuditRecord:
        message = f"Bucket {name} {action.partition('.')[2]}"
        return AuditRecord.by(principal, self._clock.now(), action, ("bucket", name), message, attributes)
