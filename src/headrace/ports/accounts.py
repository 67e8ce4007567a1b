"""Users, what they may do on buckets, and who they are to an OpenID provider.

A change and the record of it (for `_audit`) are one transaction, everywhere here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.account import Account, Grant, Identity, Link, User, UserChanges
from headrace.model.audit import AuditRecord
from headrace.model.principal import Permission, Role


class Accounts(Protocol):
    """Raises Unavailable when the control data cannot be reached."""

    async def add_user(
        self, user: User, audit: AuditRecord, identity: Identity | None = None, link: Link | None = None
    ) -> None:
        """With `link`, the user's first temporary link is added in the same transaction.

        Raises Conflict with the code `identity-taken`, else `email-taken`, else `username-taken`; nothing is added
        then.
        """

    async def find_user(self, user_id: str) -> User | None:
        """The user with this id."""

    async def find_account(self, user_id: str) -> Account | None:
        """The user with all grants."""

    async def find_login(self, name: str) -> User | None:
        """The user with this username or e-mail address, given in lower case."""

    async def find_identity(self, issuer: str, subject: str) -> tuple[Identity, Account] | None:
        """Who this is here."""

    async def sync_identity(self, identity: Identity, role: Role, audit: AuditRecord | None) -> None:
        """The provider says that the user has this role as of `identity.synced_at`; an older word changes nothing.

        `audit` is kept if the role is another one now. The provider may well take the last admin's role away: it is the
        one who answers for it, and the bootstrap key remains. Raises NotFound when nobody here is this.
        """

    async def list_users(self, after: str | None, limit: int, q: str | None = None) -> Sequence[User]:
        """In order of ids, those behind `after`; with `q`, whose username, e-mail or name contains it in any case."""

    async def update_user(self, user_id: str, changes: UserChanges, audit: AuditRecord) -> User:
        """Change what is named. A new password or `disabled` ends all sessions, a new password
        kills the links to reset it, and a new e-mail all that are open.

        Raises NotFound, Conflict `email-taken`, and Conflict `last-admin` when no enabled admin user would be left
        who was there before.
        """

    async def replace_hash(self, user_id: str, old: str, new: str) -> bool:
        """The same password under newer parameters, if the stored hash is still `old`: whether it was. Ends no session
        and kills no link, and is not recorded: nothing changed for anyone."""

    async def delete_user(self, user_id: str, audit: AuditRecord) -> None:
        """With sessions, links, grants and identities; keys are revoked at the audit record's time, and keep their rows
        and their `owner_id`. Raises NotFound, and Conflict `last-admin` as above.
        """

    async def put_grant(
        self, bucket_id: int, user_id: str, permissions: frozenset[Permission], audit: AuditRecord
    ) -> Grant:
        """Exactly these from now on; an empty set takes the grant away. Raises NotFound for the user or the bucket."""

    async def delete_grant(self, bucket_id: int, user_id: str, audit: AuditRecord) -> None:
        """Raises NotFound when there is none."""

    async def grants_of_bucket(self, bucket_id: int) -> Sequence[Grant]:
        """By username."""
