"""API keys: made by users and by the bootstrap admin key, never for more than the maker may do.

The maker answers for a key: it is never worth more than its owner is now (`worth.py`), so what is checked here need not
be checked again when a grant is taken away. Each change is one transaction with the record of it for `_audit`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.auth.keys import digest, new_key, parse_key
from headrace.auth.rules import check_key_name, invalid
from headrace.errors import Forbidden, NotFound
from headrace.kit.times import LATEST, format_time, from_datetime
from headrace.model.account import ApiKey
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket
from headrace.model.permission import may_see, require, require_key_maker, unknown_bucket
from headrace.model.principal import (
    API_KEY,
    USER,
    VIEWER,
    Forget,
    Grants,
    Permission,
    Principal,
    Role,
    nothing_to_forget,
)
from headrace.ports.buckets import Buckets
from headrace.ports.clock import Clock
from headrace.ports.keys import Keys

_GRANTS = 1_000
_RATE_LIMIT = 10**9  # events or requests a second: more than any machine takes

NamedGrants = Mapping[str, frozenset[Permission]]
"""A bucket's name → what may be done there."""


class KeyDesk:
    """All raise Unavailable when the control data cannot be reached, and Forbidden for viewer tokens."""

    def __init__(self, keys: Keys, buckets: Buckets, clock: Clock, forget: Forget = nothing_to_forget) -> None:
        self._keys = keys
        self._buckets = buckets
        self._clock = clock
        self._forget = forget

    async def create(
        self,
        principal: Principal,
        name: str,
        grants: Sequence[tuple[str, frozenset[Permission]]],
        expires_at: int | None,
        rate_limit: int | None,
        address: str,
    ) -> tuple[ApiKey, str]:
        """A new key and its text, which is nowhere else. `expires_at` is µs since 1970, `rate_limit` in events or
        requests a second. A bucket that is named twice gets both.

        Raises Forbidden, Invalid, and NotFound for a bucket that is not there or not for the caller to see.
        """
        require_key_maker(principal)
        now = self._clock.now()
        name = check_key_name(name)
        _check_limits(grants, expires_at, rate_limit, now)
        named = _merged(grants)
        granted = await self._resolved(principal, named)
        text = new_key()
        parts = parse_key(text)
        assert parts is not None
        key = ApiKey(
            id=parts.id,
            name=name,
            secret_sha256=digest(parts.secret),
            role=Role.USER,
            created_at=now,
            expires_at=expires_at,
            owner_id=principal.owner_id,
            rate_limit=rate_limit,
            grants=granted,
        )
        await self._keys.add_key(key, _made(principal, key, named, address))
        return key, text

    async def list(
        self, principal: Principal, after: str | None, limit: int, owner: str | None = None
    ) -> Sequence[tuple[ApiKey, NamedGrants]]:
        """The caller's own that are not revoked, in order of ids; an administrator's are all, a key's is itself.

        With `owner`, of these only that user's.
        """
        keys = await self._seen(principal, after, limit, owner)
        if not keys:
            return []
        names = {bucket.id: bucket.name for bucket in await self._buckets.list()}
        return [(key, _by_name(key.grants, names)) for key in keys]

    async def revoke(self, principal: Principal, key_id: str, address: str) -> None:
        """Dead at once in this process, and within 5 s in others. Raises NotFound for a key that is not there, not the
        caller's, or revoked already."""
        key = await self._owned(principal, key_id)
        await self._keys.revoke_key(
            key.id,
            AuditRecord.by(
                principal,
                self._clock.now(),
                "key.revoked",
                (API_KEY, key.id),
                f"API key {key.name} revoked",
                {"name": key.name, "address": address},
            ),
        )
        self._forget(API_KEY, key.id)

    async def get(self, principal: Principal, key_id: str) -> ApiKey:
        """A key that the caller may revoke. Raises NotFound as `revoke` does."""
        key = await self._owned(principal, key_id)
        if key.revoked_at is not None:
            raise _unknown(key_id)
        return key

    async def _owned(self, principal: Principal, key_id: str) -> ApiKey:
        _refuse_viewers(principal)
        known = await self._keys.find_key(key_id) if parse_key(f"hr_{key_id}_{'a' * 26}") else None
        if known is None or not _owns(principal, known.key):
            raise _unknown(key_id)
        return known.key

    async def _seen(
        self, principal: Principal, after: str | None, limit: int, owner: str | None
    ) -> Sequence[ApiKey]:
        _refuse_viewers(principal)
        if principal.role is Role.ADMIN:
            return await self._keys.list_keys(owner, after, limit)
        if owner is not None and owner != principal.owner_id:
            return []
        if principal.kind == USER:
            return await self._keys.list_keys(principal.id, after, limit)
        known = await self._keys.find_key(principal.id)
        if known is None or known.key.revoked_at is not None or (after is not None and known.key.id <= after):
            return []
        return [known.key]

    async def _resolved(self, principal: Principal, named: NamedGrants) -> Grants:
        """By ids. Raises NotFound before Forbidden: a refusal must not tell that a bucket is there."""
        there = {bucket.name: bucket for bucket in await self._buckets.list()} if named else {}
        seen = {name: _seen_bucket(principal, there.get(name), name) for name in named}
        for name, permissions in named.items():
            _check_grant(principal, seen[name], permissions)
        return {seen[name].id: permissions for name, permissions in named.items()}


def _unknown(key_id: str) -> NotFound:
    return NotFound(f"There is no key {key_id[:64]!r} that this credential may revoke.", code="unknown-key")


def _seen_bucket(principal: Principal, bucket: Bucket | None, name: str) -> Bucket:
    if bucket is None or not may_see(principal, bucket):
        raise unknown_bucket(name)
    return bucket


def _check_grant(principal: Principal, bucket: Bucket, permissions: frozenset[Permission]) -> None:
    if bucket.is_system and permissions - {Permission.READ}:
        raise Forbidden(f"Bucket {bucket.name!r} belongs to the system: keys may only read it.", code="system-bucket")
    for permission in Permission:
        if permission in permissions:
            require(principal, bucket, permission)


def _check_limits(
    grants: Sequence[tuple[str, frozenset[Permission]]], expires_at: int | None, rate_limit: int | None, now: int
) -> None:
    if len(grants) > _GRANTS:
        raise invalid("grants", f"must be at most {_GRANTS}")
    if not all(permissions for _, permissions in grants):
        raise invalid("grants", "must each have a permission: read, write or manage")
    if expires_at is not None and not now < expires_at < from_datetime(LATEST):
        raise invalid("expires_at", f"must be to come, and before {LATEST.year}")
    if rate_limit is not None and not 1 <= rate_limit <= _RATE_LIMIT:
        raise invalid("rate_limit", f"must be from 1 to {_RATE_LIMIT}")


def _merged(grants: Sequence[tuple[str, frozenset[Permission]]]) -> NamedGrants:
    merged: dict[str, frozenset[Permission]] = {}
    for name, permissions in grants:
        merged[name] = merged.get(name, frozenset()) | permissions
    return merged


def _made(principal: Principal, key: ApiKey, named: NamedGrants, address: str) -> AuditRecord:
    granted = {name: [each.value for each in Permission if each in some] for name, some in named.items()}
    attributes: dict[str, object] = {"name": key.name, "grants": granted, "address": address}
    if key.expires_at is not None:
        attributes["expires_at"] = format_time(key.expires_at)
    if key.rate_limit is not None:
        attributes["rate_limit"] = key.rate_limit
    message = f"API key {key.name} made"
    return AuditRecord.by(principal, key.created_at, "key.created", (API_KEY, key.id), message, attributes)


def _owns(principal: Principal, key: ApiKey) -> bool:
    if principal.role is Role.ADMIN:
        return True
    return key.owner_id == principal.id if principal.kind == USER else key.id == principal.id


def _refuse_viewers(principal: Principal) -> None:
    if principal.kind == VIEWER:
        raise Forbidden("A viewer token reads the events of its bucket, and nothing else.", code="viewer-token")


def _by_name(grants: Grants, names: Mapping[int, str]) -> NamedGrants:
    """In order of names, without those on buckets that were deleted a moment ago."""
    return dict(sorted((names[bucket_id], granted) for bucket_id, granted in grants.items() if bucket_id in names))
