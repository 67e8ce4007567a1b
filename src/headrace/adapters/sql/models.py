"""The tables of the control data. Migrations are generated from them (`python -m headrace.adapters.sql.migrations`).

Third normal form; nothing that only one engine has. Times are µs since 1970 in UTC, as everywhere in Headrace.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import JSON, BigInteger, Integer, LargeBinary, MetaData, String, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# SQLite numbers rows by itself only in a column that is declared INTEGER, which holds 64 bits there.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

SerialId = Annotated[int, mapped_column(_Serial, primary_key=True, autoincrement=True)]
Micros = Annotated[int, mapped_column(BigInteger)]

# Without AUTOINCREMENT, SQLite gives the highest id again once its row is deleted.
_NEVER_AGAIN = {"sqlite_autoincrement": True}


class Base(DeclarativeBase):
    # Names that depend on nothing but the model, so that a migration can name what an earlier one made.
    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


class BucketRow(Base):
    """A bucket that is there."""

    __tablename__ = "buckets"
    __table_args__ = _NEVER_AGAIN

    id: Mapped[SerialId]
    name: Mapped[str] = mapped_column(String(63), unique=True)
    description: Mapped[str] = mapped_column(Text)
    retention_days: Mapped[int | None] = mapped_column(Integer)
    events_per_second: Mapped[int | None] = mapped_column(BigInteger)
    bytes_per_day: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[Micros]


class DeletedBucketRow(Base):
    """A bucket that is gone while events of it may still be stored: a table of its own, so that names stay unique."""

    __tablename__ = "deleted_buckets"

    bucket_id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=False)
    deleted_at: Mapped[Micros]


class ApiKeyRow(Base):
    """An API key, without its secret."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[Micros]
    expires_at: Mapped[int | None] = mapped_column(BigInteger)


class AuditRow(Base):
    """An audit record that is not yet durable in the queue; `position` is the order in which they were written."""

    __tablename__ = "audit_outbox"
    __table_args__ = _NEVER_AGAIN

    position: Mapped[SerialId]
    record_id: Mapped[UUID] = mapped_column(Uuid, unique=True)
    time: Mapped[Micros]
    action: Mapped[str] = mapped_column(String(128))
    actor_id: Mapped[str] = mapped_column(String(256))
    actor_type: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(String(256))
    target_type: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(16))
    message: Mapped[str | None] = mapped_column(Text)
    attributes: Mapped[dict[str, Any]] = mapped_column(JSON)  # Any: a JSON object, as AuditRecord has it
