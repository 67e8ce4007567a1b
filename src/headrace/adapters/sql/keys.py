"""API keys in a relational database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import BigInteger, bindparam, literal, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncSession

from headrace.adapters.sql.audit import audit_row
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.grants import add_key_grants, gathered
from headrace.adapters.sql.models import ApiKeyRow, KeyGrantRow, UserGrantRow, UserRow
from headrace.adapters.sql.users import locked_user, user_of
from headrace.errors import Conflict, NotFound
from headrace.model.account import Account, ApiKey, KnownKey
from headrace.model.audit import AuditRecord
from headrace.model.principal import Grants, Role


class SqlKeys:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def add_key(self, key: ApiKey, audit: AuditRecord) -> None:
        try:
            async with self._database.changing() as session:
                if await session.get(ApiKeyRow, key.id) is not None:
                    return
                if key.owner_id is not None:
                    await locked_user(session, key.owner_id)  # whose deletion revokes all keys there are
                session.add_all((_row(key), audit_row(audit)))
                await session.flush()  # before what refers to it
                await add_key_grants(session, key.id, key.grants)
        except Conflict:
            if await self.find_key(key.id) is None:  # it was the audit record's id that was taken
                raise

    async def find_key(self, key_id: str) -> KnownKey | None:
        async with self._database.reading() as session:
            found = await session.execute(
                select(ApiKeyRow, UserRow)
                .outerjoin(UserRow, UserRow.id == ApiKeyRow.owner_id)
                .where(ApiKeyRow.id == key_id)
            )
            pair: tuple[ApiKeyRow, UserRow | None] | None = found.one_or_none()
            if pair is None:
                return None
            row, owner = pair
            keys, users = await _both_grants(session, key_id, row.owner_id)
        return KnownKey(_key(row, keys), Account(user_of(owner), users) if owner is not None else None)

    async def list_keys(self, owner_id: str | None, after: str | None, limit: int) -> Sequence[ApiKey]:
        page = select(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None), ApiKeyRow.id > (after or ""))
        if owner_id is not None:
            page = page.where(ApiKeyRow.owner_id == owner_id)
        async with self._database.reading() as session:
            rows = (await session.scalars(page.order_by(ApiKeyRow.id).limit(limit))).all()
            found = await session.execute(
                select(KeyGrantRow.key_id, KeyGrantRow.bucket_id, KeyGrantRow.permission).where(
                    KeyGrantRow.key_id.in_([row.id for row in rows])
                )
            )
            grants: dict[str, list[tuple[int, str]]] = {}
            for key_id, bucket_id, permission in found:
                grants.setdefault(key_id, []).append((bucket_id, permission))
        return [_key(row, gathered(grants.get(row.id, ()))) for row in rows]

    async def revoke_key(self, key_id: str, audit: AuditRecord) -> None:
        async with self._database.changing() as session:
            row = await session.get(ApiKeyRow, key_id, with_for_update=True)
            if row is None or row.revoked_at is not None:
                raise NotFound(f"There is no key {key_id[:64]!r}.", code="unknown-key")
            row.revoked_at = audit.time
            session.add(audit_row(audit))

    async def touch(self, used: Mapping[str, int]) -> None:
        if not used:
            return
        seen = bindparam("seen", type_=BigInteger())
        statement = (
            update(ApiKeyRow.__table__)  # type: ignore[arg-type] # a table's update takes many sets of parameters
            .where(
                ApiKeyRow.id == bindparam("key_id"),
                or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < seen),
            )
            .values(last_used_at=seen)
        )
        async with self._database.changing() as session:
            connection = await session.connection()
            await connection.execute(statement, [{"key_id": key, "seen": used[key]} for key in sorted(used)])


async def _both_grants(session: AsyncSession, key_id: str, owner_id: str | None) -> tuple[Grants, Grants]:
    """The key's and its owner's, in one statement."""
    found = await session.execute(
        union_all(
            select(literal(0), KeyGrantRow.bucket_id, KeyGrantRow.permission).where(KeyGrantRow.key_id == key_id),
            select(literal(1), UserGrantRow.bucket_id, UserGrantRow.permission).where(UserGrantRow.user_id == owner_id),
        )
    )
    rows = found.all()
    keys = gathered((bucket_id, permission) for whose, bucket_id, permission in rows if whose == 0)
    return keys, gathered((bucket_id, permission) for whose, bucket_id, permission in rows if whose == 1)


def _row(key: ApiKey) -> ApiKeyRow:
    return ApiKeyRow(
        id=key.id,
        name=key.name,
        secret_sha256=key.secret_sha256,
        role=key.role.value,
        created_at=key.created_at,
        expires_at=key.expires_at,
        owner_id=key.owner_id,
        rate_limit=key.rate_limit,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )


def _key(row: ApiKeyRow, grants: Grants) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        secret_sha256=row.secret_sha256,
        role=Role(row.role),
        created_at=row.created_at,
        expires_at=row.expires_at,
        owner_id=row.owner_id,
        rate_limit=row.rate_limit,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        grants=grants,
    )
