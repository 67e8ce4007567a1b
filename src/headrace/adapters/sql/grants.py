"""What users and keys may do, as rows: one for each thing on each bucket. Shared by the adapters of this folder."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace.adapters.sql.models import BucketRow, KeyGrantRow, UserGrantRow
from headrace.errors import NotFound
from headrace.model.principal import Grants, Permission


def gathered(rows: Iterable[tuple[int, str]]) -> Grants:
    """Grants of one principal, from (bucket id, permission)."""
    grants: dict[int, set[Permission]] = {}
    for bucket_id, permission in rows:
        grants.setdefault(bucket_id, set()).add(Permission(permission))
    return {bucket_id: frozenset(permissions) for bucket_id, permissions in grants.items()}


async def grants_of_user(session: AsyncSession, user_id: str) -> Grants:
    """All grants of one user: one range of the primary key."""
    found = await session.execute(
        select(UserGrantRow.bucket_id, UserGrantRow.permission).where(UserGrantRow.user_id == user_id)
    )
    return gathered(found)


async def add_user_grant(
    session: AsyncSession, user_id: str, bucket_id: int, permissions: Collection[Permission]
) -> None:
    rows = [{"user_id": user_id, "bucket_id": bucket_id, "permission": each.value} for each in sorted(permissions)]
    if rows:
        await session.execute(insert(UserGrantRow), rows)


async def add_key_grants(session: AsyncSession, key_id: str, grants: Grants) -> None:
    """Raises NotFound for a bucket that is not there."""
    await lock_buckets(session, grants.keys())
    rows = [
        {"key_id": key_id, "bucket_id": bucket_id, "permission": permission.value}
        for bucket_id, permissions in sorted(grants.items())
        for permission in sorted(permissions)
    ]
    if rows:
        await session.execute(insert(KeyGrantRow), rows)


async def lock_buckets(session: AsyncSession, bucket_ids: Collection[int]) -> Mapping[int, str]:
    """The names of these buckets, none of which can go away until the transaction ends. Raises NotFound."""
    if not bucket_ids:
        return {}
    found = await session.execute(
        select(BucketRow.id, BucketRow.name).where(BucketRow.id.in_(bucket_ids)).with_for_update(read=True)
    )
    names = dict(found.all())
    if len(names) < len(set(bucket_ids)):
        raise NotFound("A bucket of the grant is not there any more.", code="unknown-bucket")
    return names
