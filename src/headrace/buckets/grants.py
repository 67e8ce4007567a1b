"""What users may do on a bucket, as those decide who manage it. Each change is one transaction with its record."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.buckets.catalog import BucketCatalog
from headrace.errors import Forbidden, NotFound
from headrace.kit.ids import format_id, parse_id
from headrace.model.account import Grant
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket
from headrace.model.permission import may_manage, require_admin
from headrace.model.principal import USER, Forget, Permission, Principal, nothing_to_forget
from headrace.model.task_journal import TASKS_BUCKET
from headrace.ports.accounts import Accounts
from headrace.ports.clock import Clock

_OF_SYSTEM = frozenset((Permission.READ,))
_OF_TASKS = frozenset((Permission.READ, Permission.MANAGE))


class GrantDesk:
    """All raise NotFound for a bucket that the caller may not see, Forbidden for one that it does not manage, and
    Unavailable when the control data cannot be reached."""

    def __init__(
        self, catalog: BucketCatalog, accounts: Accounts, clock: Clock, forget: Forget = nothing_to_forget
    ) -> None:
        self._catalog = catalog
        self._accounts = accounts
        self._clock = clock
        self._forget = forget

    async def put(
        self, principal: Principal, bucket_name: str, user_id: str, permissions: frozenset[Permission], address: str
    ) -> Grant:
        """Exactly these from now on; none at all takes the grant away. Raises NotFound for an unknown user, and
        Forbidden `system-bucket` for more than `read` on a bucket of the system (on `_tasks`, `manage` too, which is a
        right over everybody's tasks)."""
        bucket = await self._managed(principal, bucket_name)
        grantable = _OF_TASKS if bucket.name == TASKS_BUCKET else _OF_SYSTEM
        if bucket.is_system and permissions - grantable:
            may = " and ".join(permission.value for permission in Permission if permission in grantable)
            raise Forbidden(
                f"Bucket {bucket.name!r} belongs to the system: users may only {may} it.", code="system-bucket"
            )
        user = await self._user(user_id)
        shown = [permission.value for permission in Permission if permission in permissions]
        what = f"may {', '.join(shown)}" if shown else "may do nothing any more"
        record = self._record(
            principal, "grant.changed", bucket, user, what, {"permissions": shown, "address": address}
        )
        grant = await self._accounts.put_grant(bucket.id, user, permissions, record)
        self._forget(USER, user)
        return grant

    async def list(self, principal: Principal, bucket_name: str) -> Sequence[Grant]:
        """Of users on this bucket, by username."""
        bucket = await self._managed(principal, bucket_name)
        return await self._accounts.grants_of_bucket(bucket.id)

    async def of_user(
        self, principal: Principal, user_id: str
    ) -> Sequence[tuple[Bucket, frozenset[Permission]]]:
        """What this user may do, by the bucket's name: on all buckets for administrators and for the user, for others
        on those that they manage. Raises NotFound for an unknown user."""
        account = await self._accounts.find_account(await self._user(user_id))
        grants = {} if account is None else account.grants
        own = principal.kind == USER and principal.id == user_id
        return [
            (bucket, grants[bucket.id])
            for bucket in await self._catalog.list(principal)
            if bucket.id in grants and (own or may_manage(principal, bucket.id))
        ]

    async def delete(self, principal: Principal, bucket_name: str, user_id: str, address: str) -> None:
        """Take it all away. Raises NotFound when this user has no grant there."""
        bucket = await self._managed(principal, bucket_name)
        user = await self._user(user_id)
        record = self._record(
            principal, "grant.deleted", bucket, user, "may do nothing any more", {"address": address}
        )
        await self._accounts.delete_grant(bucket.id, user, record)
        self._forget(USER, user)

    async def _managed(self, principal: Principal, bucket_name: str) -> Bucket:
        bucket = await self._catalog.permitted(principal, bucket_name, Permission.MANAGE)
        if bucket.is_system:
            require_admin(principal)
        return bucket

    async def _user(self, user_id: str) -> str:
        """The id as it is stored. Raises NotFound."""
        try:
            user = await self._accounts.find_user(format_id(parse_id(user_id)))
        except ValueError:
            user = None
        if user is None:
            raise NotFound(f"There is no user with the id {user_id[:64]!r}.", code="unknown-user")
        return user.id

    def _record(
        self,
        principal: Principal,
        action: str,
        bucket: Bucket,
        user_id: str,
        what: str,
        attributes: dict[str, object],
    ) -> AuditRecord:
        message = f"User {user_id} {what} on bucket {bucket.name}"
        return AuditRecord.by(
            principal, self._clock.now(), action, ("bucket", bucket.name), message, {"user": user_id, **attributes}
        )
