"""The outbox of audit records: written with the change that they tell of, forwarded to `_audit` afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from headrace.model.audit import AuditRecord


class AuditOutbox(Protocol):
    """Ports whose changes are audited take the AuditRecord themselves; `add` is for what changes nothing else."""

    async def add(self, record: AuditRecord) -> None:
        """Durable when it returns."""

    async def pending(self, limit: int) -> Sequence[AuditRecord]:
        """The oldest records that are not forwarded yet."""

    async def forwarded(self, ids: Sequence[int]) -> None:
        """They are durable in the queue: forget them here."""
