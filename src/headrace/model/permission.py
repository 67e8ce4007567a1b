"""Who may do what: pure decisions, in the model because every feature needs them (DESIGN §8).

Deny by default. What the caller may not even see is answered exactly as what is not there.
"""

from __future__ import annotations

from headrace.errors import Forbidden, NotFound
from headrace.model.bucket import Bucket
from headrace.model.principal import USER, VIEWER, Permission, Principal, Role
from headrace.model.query import EventFilter
from headrace.model.task_journal import TASKS_BUCKET
from headrace.model.view import View


def may_see(principal: Principal, bucket: Bucket) -> bool:
    """Whether the caller may know that the bucket is there."""
    if principal.view is not None:
        return principal.view.bucket_id == bucket.id
    return principal.role is Role.ADMIN or bool(principal.grants.get(bucket.id))


def allowed(principal: Principal, bucket: Bucket, permission: Permission) -> bool:
    """Whether the caller may do this there. Nobody writes to a system bucket, not even an admin; reading within a view
    is not Permission.READ, which is of the whole bucket: see `view`."""
    if permission is Permission.WRITE and bucket.is_system:
        return False
    return _holds(principal, bucket.id, permission)


def may_manage(principal: Principal, bucket_id: int) -> bool:
    """Whether the caller may manage the bucket, if there still is one of this id."""
    return _holds(principal, bucket_id, Permission.MANAGE)


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


def may_read_users(principal: Principal) -> bool:
    """Admins and users of the role manager: who hands out grants has to find the users."""
    return _leads(principal)


def may_make_buckets(principal: Principal) -> bool:
    """Admins and users of the role manager; their API keys do not."""
    return _leads(principal)


def require_bucket_maker(principal: Principal) -> None:
    """Raises Forbidden."""
    if not may_make_buckets(principal):
        raise Forbidden("Only a user of the role manager or an administrator may make a bucket: ask one of them.")


def require_key_maker(principal: Principal) -> None:
    """Raises Forbidden. A key that made keys would outlive its own revocation; only the bootstrap one may."""
    if principal.kind != USER and principal.role is not Role.ADMIN:
        raise Forbidden("Only a user may make API keys, with an access token: sign in first.")


def unknown_bucket(name: str) -> NotFound:
    """The one wording for "not there" and "not yours", so that they cannot be told apart."""
    return NotFound(f"There is no bucket {name[:64]!r} that this credential may see.", code="unknown-bucket")


def _holds(principal: Principal, bucket_id: int, permission: Permission) -> bool:
    if principal.view is not None or principal.kind == VIEWER:
        return False
    if principal.role is Role.ADMIN:
        return True
    granted = principal.grants.get(bucket_id, ())
    return permission in granted or Permission.MANAGE in granted  # who manages could grant himself the rest


def _leads(principal: Principal) -> bool:
    return principal.role is Role.ADMIN or (principal.kind == USER and principal.role is Role.MANAGER)


def view(principal: Principal, bucket: Bucket) -> View:
    """What the caller may read there: the only way to the events. Raises NotFound and Forbidden as `require` does.

    Of `_tasks` everybody may read what became of their own tasks, without a grant, and without seeing the bucket.
    """
    seen = principal.view
    if seen is None:
        if _has_tasks_there(principal, bucket) and not allowed(principal, bucket, Permission.READ):
            return View(bucket, EventFilter(actors=(principal.owner_id or principal.id,)))
        require(principal, bucket, Permission.READ)
        return View(bucket)
    if seen.bucket_id != bucket.id:
        raise unknown_bucket(bucket.name)
    return View(bucket, seen.within)


def _has_tasks_there(principal: Principal, bucket: Bucket) -> bool:
    return bucket.name == TASKS_BUCKET and principal.kind != VIEWER
