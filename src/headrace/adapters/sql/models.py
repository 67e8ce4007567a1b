"""The tables of the control data. Migrations are generated from them (`python -m headrace.adapters.sql.migrations`).

Third normal form; nothing that only one engine has. Times are µs since 1970 in UTC, as everywhere in Headrace.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from headrace.model.account import LinkPurpose
from headrace.model.principal import Permission, Role

# SQLite numbers rows by itself only in a column that is declared INTEGER, which holds 64 bits there.
_Serial = BigInteger().with_variant(Integer(), "sqlite")

SerialId = Annotated[int, mapped_column(_Serial, primary_key=True, autoincrement=True)]
Micros = Annotated[int, mapped_column(BigInteger)]
Limit = Annotated[int | None, mapped_column(BigInteger)]
UserId = Annotated[str, mapped_column(String(36))]

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


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value.value) for value in values)})", name=column)


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
    shard: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class DeletedBucketRow(Base):
    """A bucket that is gone while events of it may still be stored: a table of its own, so that names stay unique."""

    __tablename__ = "deleted_buckets"

    bucket_id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=False)
    deleted_at: Mapped[Micros]
    shard: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class UserRow(Base):
    """A person. Username and e-mail address are in lower case."""

    __tablename__ = "users"

    id: Mapped[UserId] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str | None] = mapped_column(String(320), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[Micros]
    first_name: Mapped[str | None] = mapped_column(String(200))
    last_name: Mapped[str | None] = mapped_column(String(200))
    verified: Mapped[bool] = mapped_column(Boolean)
    disabled: Mapped[bool] = mapped_column(Boolean)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    events_per_second: Mapped[Limit]
    bytes_per_day: Mapped[Limit]

    __table_args__ = (
        _one_of("role", Role),
        Index(None, "role", "disabled"),  # is there another admin?
    )


class IdentityRow(Base):
    """Who a user is to an OpenID provider."""

    __tablename__ = "identities"

    issuer: Mapped[str] = mapped_column(String(255), primary_key=True)
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    synced_at: Mapped[Micros]


class SessionRow(Base):
    """A sign-in. `secret_sha256` is of the newest refresh token."""

    __tablename__ = "sessions"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    created_at: Mapped[Micros]
    expires_at: Mapped[Micros] = mapped_column(index=True)


class LinkRow(Base):
    """A temporary link: at most one of a kind for each user. The digest is in hexadecimal: not every engine can
    index binary data without being told how much of it."""

    __tablename__ = "links"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[Micros]
    expires_at: Mapped[Micros] = mapped_column(index=True)

    __table_args__ = (_one_of("purpose", LinkPurpose), UniqueConstraint("user_id", "purpose"))


class ApiKeyRow(Base):
    """An API key, without its secret.

    `owner_id` is no foreign key, on purpose. The row outlives the owner, and has to say for ever that it had one: set
    to null it would look like a key that the system answers for, and would not be dead. And what it sent stays in
    the usage of that owner.
    """

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary(32))
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[Micros]
    expires_at: Mapped[int | None] = mapped_column(BigInteger)
    owner_id: Mapped[UserId | None]
    rate_limit: Mapped[Limit]
    last_used_at: Mapped[int | None] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        _one_of("role", Role),
        Index(None, "owner_id", "revoked_at", "id"),  # a page of the good keys of an owner
    )


class UserGrantRow(Base):
    """One thing that a user may do on a bucket."""

    __tablename__ = "user_grants"

    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    bucket_id: Mapped[int] = mapped_column(
        _Serial, ForeignKey("buckets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    permission: Mapped[str] = mapped_column(String(16), primary_key=True)

    __table_args__ = (_one_of("permission", Permission),)


class KeyGrantRow(Base):
    """One thing that an API key may do on a bucket."""

    __tablename__ = "key_grants"

    key_id: Mapped[str] = mapped_column(
        String(32), ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True
    )
    bucket_id: Mapped[int] = mapped_column(
        _Serial, ForeignKey("buckets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )
    permission: Mapped[str] = mapped_column(String(16), primary_key=True)

    __table_args__ = (_one_of("permission", Permission),)


class SigningKeyRow(Base):
    """A key that signs access tokens, sealed. The one that is not retired signs."""

    __tablename__ = "signing_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary(4096))
    created_at: Mapped[Micros] = mapped_column(index=True)
    retired_at: Mapped[int | None] = mapped_column(BigInteger, index=True)


class SecretRow(Base):
    """A secret that all processes share where nobody set one: `sealing` seals signing keys and sign-ins. Whoever reads
    this database can read it. Only on a server; beside a file the secret has a file of its own."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    secret: Mapped[str] = mapped_column(String(255))


class UsageRow(Base):
    """What one credential sent into one bucket on one day (days since 1970). It outlives both, so it refers to neither
    by a foreign key; ids are never used again."""

    __tablename__ = "usage"

    day: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    bucket_id: Mapped[int] = mapped_column(_Serial, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    principal_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    events: Mapped[int] = mapped_column(BigInteger)
    bytes: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        CheckConstraint("events >= 0", name="events"),
        CheckConstraint("bytes >= 0", name="bytes"),
        Index(None, "bucket_id", "day"),  # of those whom a manager may see
        Index(None, "principal_id", "day"),  # of one's own keys
    )


class SavedSearchRow(Base):
    """A search that a user keeps: the query string of Explore, at most 4 KiB. A shared one is seen by all who may read
    the bucket."""

    __tablename__ = "saved_searches"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    owner_id: Mapped[UserId] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    bucket_id: Mapped[int] = mapped_column(_Serial, ForeignKey("buckets.id", ondelete="CASCADE"), autoincrement=False)
    name: Mapped[str] = mapped_column(String(100))
    query: Mapped[str] = mapped_column(Text)
    shared: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[Micros]

    __table_args__ = (
        UniqueConstraint("owner_id", "bucket_id", "name"),
        Index(None, "bucket_id", "shared"),  # those that others share
    )


class BusyQueryRow(Base):
    """A read that comes often, as JSON: what is run beforehand so that it is quick. `digest` is of the query, which is
    too long for a key; a query with a higher `score` came more often, and more lately."""

    __tablename__ = "busy_queries"

    bucket_id: Mapped[int] = mapped_column(
        _Serial, ForeignKey("buckets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    digest: Mapped[str] = mapped_column(String(32), primary_key=True)
    query: Mapped[str] = mapped_column(Text)
    score: Mapped[float] = mapped_column(Double)


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
