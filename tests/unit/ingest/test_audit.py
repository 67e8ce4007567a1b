"""The audit outbox is emptied into `_audit`; looking costs little, since every process looks all the time."""

from __future__ import annotations

from typing import cast

from headrace.ingest.audit import AuditForwarder
from headrace.ingest.batcher import Batcher
from headrace.model.audit import AuditRecord
from headrace.ports.audit import AuditOutbox
from headrace.ports.buckets import Buckets


class EmptyOutbox:
    async def pending(self, limit: int) -> list[AuditRecord]:
        return []


class CountedBuckets:
    def __init__(self) -> None:
        self.asked = 0

    async def find(self, name: str) -> None:
        self.asked += 1


async def test_while_nothing_waits_the_catalogue_is_left_alone() -> None:
    buckets = CountedBuckets()
    forwarder = AuditForwarder(cast("AuditOutbox", EmptyOutbox()), cast("Buckets", buckets), cast("Batcher", None))
    assert await forwarder.step() == 0
    assert buckets.asked == 0
