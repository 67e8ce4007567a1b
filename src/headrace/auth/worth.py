"""What a credential is worth: from a key or an account as stored to the Principal that it makes. Pure."""

from __future__ import annotations

from headrace.model.account import Account, KnownKey
from headrace.model.principal import API_KEY, USER, Grants, Permission, Principal, Role

_ALL = frozenset(Permission)


def of_account(account: Account, session_id: str | None = None) -> Principal | None:
    """None when the user is disabled."""
    user = account.user
    if user.disabled:
        return None
    return Principal(
        id=user.id,
        kind=USER,
        name=user.username,
        role=user.role,
        grants=account.grants,
        owner_id=user.id,
        owner_quota=user.quota,
        session_id=session_id,
    )


def of_key(known: KnownKey) -> Principal | None:
    """None when it is revoked or its owner disabled. A key is never worth more than its owner is now."""
    key, owner = known.key, known.owner
    if key.revoked_at is not None:
        return None
    principal = Principal(
        id=key.id,
        kind=API_KEY,
        name=key.name,
        role=key.role,
        grants=key.grants,
        rate_limit=key.rate_limit,
    )
    return principal if owner is None and key.owner_id is None else _owned(principal, known)


def _owned(principal: Principal, known: KnownKey) -> Principal | None:
    owner = known.owner
    if owner is None or owner.user.disabled:
        return None
    grants = known.key.grants
    return Principal(
        id=principal.id,
        kind=API_KEY,
        name=principal.name,
        role=Role.USER,  # an owner's role never passes to a key: it does what its grants say
        grants=grants if owner.user.role is Role.ADMIN else common(grants, owner.grants),
        owner_id=owner.user.id,
        rate_limit=principal.rate_limit,
        owner_quota=owner.user.quota,
    )


def common(mine: Grants, theirs: Grants) -> Grants:
    """What both allow, bucket by bucket."""
    both = {bucket_id: whole(mine[bucket_id]) & whole(theirs[bucket_id]) for bucket_id in mine.keys() & theirs.keys()}
    return {bucket_id: permissions for bucket_id, permissions in both.items() if permissions}


def whole(permissions: frozenset[Permission]) -> frozenset[Permission]:
    """`manage` includes the others."""
    return _ALL if Permission.MANAGE in permissions else permissions
