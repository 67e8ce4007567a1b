"""Sign-ins and temporary links. A change and the record of it (for `_audit`) are one transaction."""

from __future__ import annotations

from typing import Protocol

from headrace.model.account import KnownSession, Link, LinkPurpose, Session, User, UserChanges
from headrace.model.audit import AuditRecord


class Sessions(Protocol):
    """Raises Unavailable when the control data cannot be reached."""

    async def add_session(self, session: Session, password_hash: str | None, audit: AuditRecord) -> None:
        """A login of a user who was let in while this was the user's password hash.

        Raises Conflict `account-changed` when it is another one now, or the user is disabled or gone: what ends all
        sessions must not miss one that is just beginning.
        """

    async def find_session(self, session_id: str) -> KnownSession | None:
        """The session with its user's account; expired ones included."""

    async def rotate(self, session_id: str, old_sha256: bytes, new_sha256: bytes, expires_at: int) -> bool:
        """Replace the refresh token, if `old_sha256` is of the newest one: of two at once, one is told True."""

    async def end_session(self, session_id: str, audit: AuditRecord) -> bool:
        """Whether it was there."""

    async def add_link(self, link: Link, audit: AuditRecord | None) -> None:
        """A link that replaces those which the user had for the same purpose. Raises NotFound for the user."""

    async def find_link(self, token_sha256: bytes, purpose: LinkPurpose, now: int) -> User | None:
        """The user for whom `use_link` would use this link up, else None. Changes nothing."""

    async def use_link(
        self, token_sha256: bytes, purpose: LinkPurpose, now: int, changes: UserChanges, audit: AuditRecord
    ) -> str | None:
        """Use the link up and change its user as it allows, in one transaction; the user's id.

        None when there is no such link for this purpose, it has expired by `now`, or its user is disabled: nothing
        is changed then. Of two at once one gets it. A new password ends all sessions of the user. The actor and the
        target of `audit` are replaced by the user's id.
        """

    async def sweep(self, now: int) -> int:
        """Forget sessions and links that have expired; how many."""
