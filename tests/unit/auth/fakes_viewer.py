"""What viewer tokens need around them: a signer that writes down, and an outbox in a list."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.auth.token_claims import ViewerClaims
from headrace.errors import Unavailable
from headrace.model.audit import AuditRecord


class HeldSigner:
    """`signed` are the claims and lifetimes of the tokens made."""

    def __init__(self) -> None:
        self.signed: list[tuple[ViewerClaims, int]] = []

    async def issue_viewer(self, claims: ViewerClaims, lifetime: int) -> str:
        self.signed.append((claims, lifetime))
        return f"token {len(self.signed)}"


class HeldOutbox:
    """Unreachable while `down`."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []
        self.down = False

    async def add(self, record: AuditRecord) -> None:
        if self.down:
            raise Unavailable("down")
        self.records.append(record)

    async def pending(self, limit: int) -> Sequence[AuditRecord]:
        return self.records[:limit]

    async def forwarded(self, ids: Sequence[int]) -> None: ...
