"""The keys that sign access tokens, sealed, in a relational database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select, update

from headrace.adapters.sql.audit import audit_row
from headrace.adapters.sql.database import ControlDatabase, one_at_a_time
from headrace.adapters.sql.models import SigningKeyRow
from headrace.model.account import SigningKey
from headrace.model.audit import AuditRecord


class SqlSigningKeys:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def list_signing_keys(self) -> Sequence[SigningKey]:
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(SigningKeyRow).order_by(SigningKeyRow.created_at.desc(), SigningKeyRow.id.desc())
            )
            return [SigningKey(row.id, row.sealed, row.created_at, row.retired_at) for row in rows]

    async def add_signing_key(self, key: SigningKey, audit: AuditRecord, *, retire: bool) -> None:
        signs = SigningKeyRow.retired_at.is_(None)
        async with self._database.changing() as session:
            await one_at_a_time(session)
            if retire:
                await session.execute(update(SigningKeyRow).where(signs).values(retired_at=key.created_at))
            elif await session.scalar(select(SigningKeyRow.id).where(signs).limit(1)) is not None:
                return
            session.add_all(
                (
                    SigningKeyRow(
                        id=key.id, sealed=key.sealed, created_at=key.created_at, retired_at=key.retired_at
                    ),
                    audit_row(audit),
                )
            )

    async def forget_signing_keys(self, retired_before: int) -> None:
        async with self._database.changing() as session:
            await session.execute(delete(SigningKeyRow).where(SigningKeyRow.retired_at < retired_before))
