"""The tables of the control data by the long way, and what a start on current ones does without."""

from __future__ import annotations

import asyncio
import subprocess
import sys

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from headrace.adapters.sql.engine import open_engine
from headrace.adapters.sql.migrate import VERSION_TABLE, upgrade
from headrace.adapters.sql.models import Base

_START = """
import asyncio, sys
from headrace.adapters.sql.database import ControlDatabase
async def main():
    await (await ControlDatabase.open(sys.argv[1])).close()
asyncio.run(main())
assert "alembic" not in sys.modules
"""


async def migrated(url: str, revision: str = "head") -> None:
    """Every migration up to `revision`, one after the other."""
    engine = open_engine(url, migrating=True)
    async with engine.begin() as connection:
        await connection.run_sync(upgrade, revision)
    await engine.dispose()


async def unlike_the_models(url: str) -> list[object]:
    """What a migration would have to change yet."""

    def differences(connection: Connection) -> list[object]:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        found: list[object] = compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)
        return found

    engine = open_engine(url)
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    return found


async def starts_without_alembic(url: str) -> bool:
    """Whether a process that opens the database at `url` leaves it unloaded: it takes 0.1 s."""
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", _START, url], check=False)
    return done.returncode == 0
