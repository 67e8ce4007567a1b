"""Alembic runs this file for each command. The connection, with its transaction and lock, is the caller's."""

from __future__ import annotations

from alembic import context

from headrace.adapters.sql.migrate import VERSION_TABLE
from headrace.adapters.sql.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite changes a table by making it anew
)
with context.begin_transaction():
    context.run_migrations()
