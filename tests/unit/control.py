"""The least that the features on control data need around them: a clock, and adapters that can be down."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from headrace.errors import Conflict, NotFound, Unavailable
from headrace.model.account import Account, ApiKey, KnownKey
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket, BucketChanges, DeletedBucket
from headrace.model.principal import Permission

NOW = 1_700_000_000_000_000


class HandClock:
    """Stands still until the test moves `seconds`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.set_by = 0
        """By how many µs somebody set the time of day."""

    def now(self) -> int:
        return NOW + self.set_by + round(self.seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


class HeldKeys:
    """Keys and the accounts of their owners in dicts; `asked` are the look-ups; unreachable while `down`."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}
        self.owners: dict[str, Account] = {}
        self.audited: list[AuditRecord] = []
        self.asked: list[str] = []
        self.down = False

    async def add_key(self, key: ApiKey, audit: AuditRecord) -> None:
        self._check()
        if key.id not in self.keys:
            self.keys[key.id] = key
            self.audited.append(audit)

    async def find_key(self, key_id: str) -> KnownKey | None:
        self.asked.append(key_id)
        await asyncio.sleep(0)
        self._check()
        key = self.keys.get(key_id)
        return KnownKey(key, self.owners.get(key.owner_id or "")) if key is not None else None

    async def list_keys(self, owner_id: str | None, after: str | None, limit: int) -> Sequence[ApiKey]:
        self._check()
        good = (key for _, key in sorted(self.keys.items()) if key.revoked_at is None and key.id > (after or ""))
        return [key for key in good if owner_id is None or key.owner_id == owner_id][:limit]

    async def revoke_key(self, key_id: str, audit: AuditRecord) -> None:
        self._check()
        key = self.keys.get(key_id)
        if key is None or key.revoked_at is not None:
            raise NotFound(key_id)
        self.keys[key_id] = replace(key, revoked_at=audit.time)
        self.audited.append(audit)

    async def touch(self, used: Mapping[str, int]) -> None:
        self._check()
        for key_id, seen in used.items():
            if key_id in self.keys and seen > (self.keys[key_id].last_used_at or -1):
                self.keys[key_id] = replace(self.keys[key_id], last_used_at=seen)

    def _check(self) -> None:
        if self.down:
            raise Unavailable("down")


class HeldBuckets:
    """Buckets in a dict; `asked` are the look-ups; unreachable while `down`."""

    def __init__(self) -> None:
        self.rows: dict[str, Bucket] = {}
        self.gone: list[DeletedBucket] = []
        self.granted: list[tuple[str, str, frozenset[Permission]]] = []
        self.audited: list[AuditRecord] = []
        self.asked: list[str] = []
        self.down = False
        self._last_id = 0

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
        self._check()
        if name in self.rows:
            raise Conflict(name)
        self._last_id += 1
        self.rows[name] = Bucket(self._last_id, name, description, retention_days, created_at, shard=shard)
        if audit is not None:
            self.audited.append(audit)
        if grant is not None:
            self.granted.append((name, *grant))
        return self.rows[name]

    async def list(self) -> Sequence[Bucket]:
        self._check()
        return [self.rows[name] for name in sorted(self.rows)]

    async def find(self, name: str) -> Bucket | None:
        self.asked.append(name)
        await asyncio.sleep(0)
        self._check()
        return self.rows.get(name)

    async def update(self, name: str, changes: BucketChanges, audit: AuditRecord) -> Bucket:
        self._check()
        if name not in self.rows:
            raise NotFound(name)
        named = changes.named()
        bucket = self.rows[name]
        quota = {key: named.pop(key) for key in list(named) if key in ("events_per_second", "bytes_per_day")}
        changed = replace(bucket, **named, quota=replace(bucket.quota, **quota))  # type: ignore[arg-type]
        self.rows[name] = changed
        self.audited.append(audit)
        return changed

    async def delete(self, name: str, audit: AuditRecord) -> Bucket:
        self._check()
        if name not in self.rows:
            raise NotFound(name)
        bucket = self.rows.pop(name)
        self.gone.append(DeletedBucket(bucket.id, audit.time))
        self.audited.append(audit)
        return bucket

    async def deleted(self) -> Sequence[DeletedBucket]:
        self._check()
        return list(self.gone)

    async def purged(self, bucket_id: int) -> None:
        self._check()
        self.gone = [gone for gone in self.gone if gone.id != bucket_id]

    def _check(self) -> None:
        if self.down:
            raise Unavailable("down")


