"""shards"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("buckets", sa.Column("shard", sa.Integer(), server_default="0", nullable=False))
    op.add_column("deleted_buckets", sa.Column("shard", sa.Integer(), server_default="0", nullable=False))
