"""API keys in a relational database."""

from __future__ import annotations

from headrace.adapters.sql.audit import audit_row
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.models import ApiKeyRow
from headrace.errors import Conflict
from headrace.model.account import ApiKey
from headrace.model.audit import AuditRecord
from headrace.model.principal import Role


class SqlAccounts:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def add_key(self, key: ApiKey, audit: AuditRecord) -> None:
        try:
            async with self._database.changing() as session:
                if await session.get(ApiKeyRow, key.id) is None:
                    session.add_all((_row(key), audit_row(audit)))
        except Conflict:
            if await self.find_key(key.id) is None:  # it was the audit record's id that was taken
                raise

    async def find_key(self, key_id: str) -> ApiKey | None:
        async with self._database.reading() as session:
            row = await session.get(ApiKeyRow, key_id)
            return _key(row) if row is not None else None


def _row(key: ApiKey) -> ApiKeyRow:
    return ApiKeyRow(
        id=key.id,
        name=key.name,
        secret_sha256=key.secret_sha256,
        role=key.role.value,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        secret_sha256=row.secret_sha256,
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
