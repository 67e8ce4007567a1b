"""Buckets in a relational database."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace.adapters.sql.audit import audit_row
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.grants import add_user_grant
from headrace.adapters.sql.models import BucketRow, DeletedBucketRow
from headrace.adapters.sql.users import locked_user
from headrace.errors import Conflict, NotFound
from headrace.model.audit import AuditRecord
from headrace.model.bucket import Bucket, BucketChanges, DeletedBucket, Quota
from headrace.model.principal import Permission


class SqlBuckets:
    def __init__(self, database: ControlDatabase) -> None:
        self._database = database

    async def create(
        self,
        name: str,
        description: str,
        retention_days: int | None,
        created_at: int,
        audit: AuditRecord | None,
        grant: tuple[str, frozenset[Permission]] | None = None,
        shard: int = 0,
    ) -> Bucket:
        row = BucketRow(
            name=name, description=description, retention_days=retention_days, created_at=created_at, shard=shard
        )
        try:
            async with self._database.changing() as session:
                session.add(row)
                if grant is not None:
                    user_id, permissions = grant
                    await locked_user(session, user_id)
                    await session.flush()  # which numbers the bucket
                    await add_user_grant(session, user_id, row.id, permissions)
                if audit is not None:
                    session.add(audit_row(audit))
        except Conflict as exc:
            raise Conflict(f"There is a bucket {name!r} already.", code="bucket-exists") from exc
        return _bucket(row)

    async def list(self) -> Sequence[Bucket]:
        async with self._database.reading() as session:
            rows = await session.scalars(select(BucketRow))
            return sorted(map(_bucket, rows), key=lambda bucket: bucket.name)  # each engine sorts names in its own way

    async def find(self, name: str) -> Bucket | None:
        async with self._database.reading() as session:
            row = await session.scalar(select(BucketRow).where(BucketRow.name == name))
            return _bucket(row) if row is not None else None

    async def shard_of(self, bucket_id: int) -> int | None:
        async with self._database.reading() as session:
            shard = await session.scalar(select(BucketRow.shard).where(BucketRow.id == bucket_id))
            if shard is None:
                gone = select(DeletedBucketRow.shard).where(DeletedBucketRow.bucket_id == bucket_id)
                shard = await session.scalar(gone)
            return shard

    async def update(self, name: str, changes: BucketChanges, audit: AuditRecord) -> Bucket:
        async with self._database.changing() as session:
            row = await _locked(session, name)
            for column, value in changes.named().items():
                setattr(row, column, value)  # the names of BucketChanges are those of the columns
            session.add(audit_row(audit))
        return _bucket(row)

    async def delete(self, name: str, audit: AuditRecord) -> Bucket:
        async with self._database.changing() as session:
            row = await _locked(session, name)
            bucket = _bucket(row)
            await session.delete(row)  # and the grants on it, by their foreign keys
            gone = DeletedBucketRow(bucket_id=bucket.id, deleted_at=audit.time, shard=bucket.shard)
            session.add_all((gone, audit_row(audit)))
        return bucket

    async def deleted(self) -> Sequence[DeletedBucket]:
        async with self._database.reading() as session:
            rows = await session.scalars(select(DeletedBucketRow).order_by(DeletedBucketRow.bucket_id))
            return [DeletedBucket(row.bucket_id, row.deleted_at) for row in rows]

    async def purged(self, bucket_id: int) -> None:
        async with self._database.changing() as session:
            await session.execute(delete(DeletedBucketRow).where(DeletedBucketRow.bucket_id == bucket_id))


async def _locked(session: AsyncSession, name: str) -> BucketRow:
    """The row, which nobody else can change until the transaction ends. Raises NotFound."""
    row = await session.scalar(select(BucketRow).where(BucketRow.name == name).with_for_update())
    if row is None:
        raise NotFound(f"There is no bucket {name[:64]!r}.", code="unknown-bucket")
    return row


def _bucket(row: BucketRow) -> Bucket:
    return Bucket(
        id=row.id,
        name=row.name,
        description=row.description,
        retention_days=row.retention_days,
        created_at=row.created_at,
        quota=Quota(row.events_per_second, row.bytes_per_day),
        shard=row.shard,
    )
