"""Accounts in the control data: for now, API keys."""

from __future__ import annotations

from typing import Protocol

from headrace.model.audit import AuditRecord
from headrace.model.principal import ApiKey


class Accounts(Protocol):
    """Raises Unavailable when the control data cannot be reached."""

    async def add_key(self, key: ApiKey, audit: AuditRecord) -> None:
        """Store a key, and the record of it in the same transaction; the same id again changes and records nothing."""

    async def find_key(self, key_id: str) -> ApiKey | None:
        """The key with this public id, expired ones included."""
