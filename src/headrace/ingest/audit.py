"""Audit records from the outbox into the bucket `_audit`, under the ids that they were given at the change."""

from __future__ import annotations

import msgspec

from headrace.ingest.batcher import Batcher
from headrace.ingest.frame import Frame, encode_frame
from headrace.kit.ids import halves
from headrace.kit.times import format_time
from headrace.model.audit import AuditRecord
from headrace.model.bucket import AUDIT_BUCKET
from headrace.ports.audit import AuditOutbox
from headrace.ports.buckets import Buckets

_AT_ONCE = 500


class AuditForwarder:
    """`step()` forwards what waits. Killed between its two halves it forwards again, and the store keeps one."""

    def __init__(self, outbox: AuditOutbox, buckets: Buckets, batcher: Batcher) -> None:
        self._outbox = outbox
        self._buckets = buckets
        self._batcher = batcher

    async def step(self) -> int:
        """How many records are durable in the queue now. Raises Unavailable."""
        records = await self._outbox.pending(_AT_ONCE)
        if not records:  # as nearly always, twice a second: one question then, not two
            return 0
        bucket = await self._buckets.find(AUDIT_BUCKET)
        if bucket is None:
            return 0
        for record in records:
            frame = _frame(bucket.id, record)
            await self._batcher.submit(encode_frame(frame), 1, len(frame.lines))
        await self._outbox.forwarded([record.id for record in records])
        return len(records)


def _frame(bucket_id: int, record: AuditRecord) -> Frame:
    event = {
        "time": format_time(record.time),
        "action": record.action,
        "actor": {"id": record.actor_id, "type": record.actor_type},
        "target": {"id": record.target_id, "type": record.target_type},
        "outcome": record.outcome,
        "message": record.message,
        "attributes": record.attributes,
    }
    hi, lo = halves(record.id)
    return Frame(bucket_id, record.time, 1, msgspec.json.encode(event), hi, lo, chosen=True)
