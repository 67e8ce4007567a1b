"""API keys. A change and the record of it (for `_audit`) are one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from headrace.model.account import ApiKey, KnownKey
from headrace.model.audit import AuditRecord


class Keys(Protocol):
    """Raises Unavailable when the control data cannot be reached."""

    async def add_key(self, key: ApiKey, audit: AuditRecord) -> None:
        """Store a key with its grants; the same id again changes and records nothing.

        Raises NotFound for a bucket or an owner that is not there.
        """

    async def find_key(self, key_id: str) -> KnownKey | None:
        """The key with this public id, expired and revoked ones included. Costs the same however many there are.

        A key whose `owner_id` is set and whose owner is None is dead: the owner was deleted.
        """

    async def list_keys(self, owner_id: str | None, after: str | None, limit: int) -> Sequence[ApiKey]:
        """Keys of this owner, or all, that are not revoked, in order of ids, behind `after`."""

    async def revoke_key(self, key_id: str, audit: AuditRecord) -> None:
        """From the audit record's time on. Raises NotFound when it is not there, or revoked already."""

    async def touch(self, used: Mapping[str, int]) -> None:
        """Key id → when it was last seen (µs); an older time than the one known changes nothing."""
