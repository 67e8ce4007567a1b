"""The audit outbox in a relational database. The other files here write to it in their own transactions."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select

from headrace.adapters.sql.database import ControlDatabase, delete_rows
from headrace.adapters.sql.models import AuditRow
from headrace.model.audit import AuditRecord


class SqlAuditOutbox:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def add(self, record: AuditRecord) -> None:
        async with self._database.changing() as session:
            session.add(audit_row(record))

    async def pending(self, limit: int) -> Sequence[AuditRecord]:
        async with self._database.reading() as session:
            rows = await session.scalars(select(AuditRow).order_by(AuditRow.position).limit(limit))
            return [_record(row) for row in rows]

    async def forwarded(self, ids: Sequence[int]) -> None:
        if not ids:
            return
        async with self._database.changing() as session:
            there = AuditRow.record_id.in_([UUID(int=value) for value in ids])
            # What another process deletes just now is not waited for: two at once could wait for each other.
            mine = select(AuditRow.position).where(there).with_for_update(skip_locked=True)
            await delete_rows(session, delete(AuditRow).where(AuditRow.position.in_(mine)))


def audit_row(record: AuditRecord) -> AuditRow:
    """The row to add to the transaction of the change that `record` tells of."""
    return AuditRow(
        record_id=UUID(int=record.id),
        time=record.time,
        action=record.action,
        actor_id=record.actor_id,
        actor_type=record.actor_type,
        target_id=record.target_id,
        target_type=record.target_type,
        outcome=record.outcome,
        message=record.message,
        attributes=dict(record.attributes),
    )


def _record(row: AuditRow) -> AuditRecord:
    return AuditRecord(
        id=row.record_id.int,
        time=row.time,
        action=row.action,
        actor_id=row.actor_id,
        actor_type=row.actor_type,
        target_id=row.target_id,
        target_type=row.target_type,
        outcome=row.outcome,
        message=row.message,
        attributes=row.attributes,
    )
