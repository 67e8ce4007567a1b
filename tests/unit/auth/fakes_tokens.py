"""Signing keys in a list, as the tests of tokens need them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from headrace.errors import Unavailable
from headrace.model.account import SigningKey
from headrace.model.audit import AuditRecord


class HeldSigningKeys:
    """`reads` counts the lists that were asked for; unreachable while `down`."""

    def __init__(self) -> None:
        self.rows: list[SigningKey] = []
        self.audited: list[AuditRecord] = []
        self.reads = 0
        self.down = False

    async def list_signing_keys(self) -> Sequence[SigningKey]:
        self.reads += 1
        rows = list(self.rows)  # as they are when the question is put, however late the answer comes
        await asyncio.sleep(0)
        self._check()
        return sorted(rows, key=lambda row: row.created_at, reverse=True)

    async def add_signing_key(self, key: SigningKey, audit: AuditRecord, *, retire: bool) -> None:
        self._check()
        signing = [row for row in self.rows if row.retired_at is None]
        if signing and not retire:
            return
        self.rows = [replace(row, retired_at=key.created_at) if row in signing else row for row in self.rows]
        self.rows.append(key)
        self.audited.append(audit)

    async def forget_signing_keys(self, retired_before: int) -> None:
        self._check()
        self.rows = [row for row in self.rows if row.retired_at is None or row.retired_at >= retired_before]

    def _check(self) -> None:
        if self.down:
            raise Unavailable("down")
