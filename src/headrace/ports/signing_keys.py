"""The keys that sign access tokens, sealed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.account import SigningKey
from headrace.model.audit import AuditRecord


class SigningKeys(Protocol):
    """Raises Unavailable when the control data cannot be reached."""

    async def list_signing_keys(self) -> Sequence[SigningKey]:
        """Newest first, retired ones included."""

    async def add_signing_key(self, key: SigningKey, audit: AuditRecord, *, retire: bool) -> None:
        """With `retire`, all others sign no more from its `created_at` on (and verify still).

        Without it: only if there is none that signs yet; of several that start at once, one adds its own.
        """

    async def forget_signing_keys(self, retired_before: int) -> None:
        """Delete those that were retired before this time (µs): no token of theirs is good any more."""
