"""Who may do what on a bucket: pure decisions, in the model because every feature needs them (DESIGN §8).

Deny by default. What the caller may not even see is answered exactly as what is not there.
"""

from __future__ import annotations

from headrace.errors import Forbidden, NotFound
from headrace.model.bucket import Bucket
from headrace.model.principal import Permission, Principal, Role


def may_see(principal: Principal, bucket: Bucket) -> bool:
    """Whether the caller may know that the bucket is there."""
    return principal.role is Role.ADMIN or bool(principal.grants.get(bucket.id))


def allowed(principal: Principal, bucket: Bucket, permission: Permission) -> bool:
    """Whether the caller may do this there. Nobody writes to a system bucket, not even an admin."""
    if permission is Permission.WRITE and bucket.is_system:
        return False
    return principal.role is Role.ADMIN or permission in principal.grants.get(bucket.id, ())


def require(principal: Principal, bucket: Bucket, permission: Permission) -> None:
    """Raises NotFound when the caller may not even see the bucket, else Forbidden when it may not do this there."""
    if allowed(principal, bucket, permission):
        return
    if not may_see(principal, bucket):
        raise unknown_bucket(bucket.name)
    if permission is Permission.WRITE and bucket.is_system:
        raise Forbidden(
            f"Bucket {bucket.name!r} belongs to the system, which alone writes to it: use a bucket whose name does "
            "not begin with '_'.",
            code="system-bucket",
        )
    raise Forbidden(f"This credential has no grant to {permission} on bucket {bucket.name!r}: ask a manager of it.")


def require_admin(principal: Principal) -> None:
    """Raises Forbidden."""
    if principal.role is not Role.ADMIN:
        raise Forbidden("Only an administrator may do this.")


def unknown_bucket(name: str) -> NotFound:
    """The one wording for "not there" and "not yours", so that they cannot be told apart."""
    return NotFound(f"There is no bucket {name[:64]!r} that this credential may see.", code="unknown-bucket")
