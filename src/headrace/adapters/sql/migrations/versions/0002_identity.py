"""identity"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(length=4096), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_keys")),
    )
    op.create_index(op.f("ix_signing_keys_created_at"), "signing_keys", ["created_at"], unique=False)
    op.create_index(op.f("ix_signing_keys_retired_at"), "signing_keys", ["retired_at"], unique=False)

    op.create_table(
        "usage",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "bucket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("principal_id", sa.String(length=36), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("events >= 0", name=op.f("ck_usage_events")),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_usage_bytes")),
        sa.PrimaryKeyConstraint("day", "bucket_id", "kind", "principal_id", name=op.f("pk_usage")),
    )
    op.create_index(op.f("ix_usage_bucket_id_day"), "usage", ["bucket_id", "day"], unique=False)
    op.create_index(op.f("ix_usage_principal_id_day"), "usage", ["principal_id", "day"], unique=False)

    op.create_table(
        "users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=True),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("first_name", sa.String(length=200), nullable=True),
        sa.Column("last_name", sa.String(length=200), nullable=True),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("events_per_second", sa.BigInteger(), nullable=True),
        sa.Column("bytes_per_day", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("role IN ('admin', 'manager', 'user')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_index(op.f("ix_users_role_disabled"), "users", ["role", "disabled"], unique=False)

    op.create_table(
        "identities",
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("synced_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_identities_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identities")),
    )
    op.create_index(op.f("ix_identities_user_id"), "identities", ["user_id"], unique=False)

    op.create_table(
        "key_grants",
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column(
            "bucket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("permission", sa.String(length=16), nullable=False),
        sa.CheckConstraint("permission IN ('read', 'write', 'manage')", name=op.f("ck_key_grants_permission")),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name=op.f("fk_key_grants_key_id_api_keys"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["bucket_id"], ["buckets.id"], name=op.f("fk_key_grants_bucket_id_buckets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("key_id", "bucket_id", "permission", name=op.f("pk_key_grants")),
    )
    op.create_index(op.f("ix_key_grants_bucket_id"), "key_grants", ["bucket_id"], unique=False)

    op.create_table(
        "links",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("purpose IN ('verify', 'reset')", name=op.f("ck_links_purpose")),
        sa.UniqueConstraint("user_id", "purpose", name=op.f("uq_links_user_id_purpose")),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_links")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_links_user_id_users"), ondelete="CASCADE"),
    )
    op.create_index(op.f("ix_links_expires_at"), "links", ["expires_at"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"], unique=False)

    op.create_table(
        "user_grants",
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column(
            "bucket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("permission", sa.String(length=16), nullable=False),
        sa.CheckConstraint("permission IN ('read', 'write', 'manage')", name=op.f("ck_user_grants_permission")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_user_grants_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["bucket_id"], ["buckets.id"], name=op.f("fk_user_grants_bucket_id_buckets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("user_id", "bucket_id", "permission", name=op.f("pk_user_grants")),
    )
    op.create_index(op.f("ix_user_grants_bucket_id"), "user_grants", ["bucket_id"], unique=False)

    _extend_api_keys()


def _extend_api_keys() -> None:
    """Made anew on SQLite, with the keys that are there: it cannot add a check to a table."""
    with op.batch_alter_table("api_keys", recreate="auto") as batch_op:
        batch_op.add_column(sa.Column("owner_id", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("rate_limit", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("last_used_at", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("revoked_at", sa.BigInteger(), nullable=True))
        batch_op.create_check_constraint(batch_op.f("ck_api_keys_role"), "role IN ('admin', 'manager', 'user')")
    op.create_index(
        op.f("ix_api_keys_owner_id_revoked_at_id"), "api_keys", ["owner_id", "revoked_at", "id"], unique=False
    )
