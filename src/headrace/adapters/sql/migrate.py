"""Brings the control database to the tables that this program knows, under a lock, and refuses what is newer.

Alembic alone takes 0.1 s to import, so a start does without it unless there is something to migrate: the version is
one row, and a fresh database is made from the models at once (a test keeps models and migrations the same).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, insert, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from headrace.adapters.sql.engine import USE, Use, open_engine
from headrace.adapters.sql.failures import opening
from headrace.adapters.sql.models import Base
from headrace.errors import NewerFormat, Overloaded

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "control_version"  # not Alembic's own name: the events may have a schema in the same database
MIGRATIONS = Path(__file__).with_name("migrations")
_TRIES = 20  # of 2 s each, on a server where others hold locks on our tables
HEAD = max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))
"""The newest migration. They are numbered, so that a newer database can be told from a strange one."""

VERSION = Table(  # as Alembic would make it
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)


async def migrate(url: str) -> None:
    """Bring the database at `url` up to date; can be run again at any time, also when it was killed in the middle.

    Raises NewerFormat, Unusable, and Unavailable when the database cannot be reached.
    """
    engine = open_engine(url, migrating=True)
    try:
        for attempt in range(1, _TRIES + 1):
            try:
                with opening():
                    await _bring_to_head(engine)
            except Overloaded:  # a lock did not come in time: nothing was changed, and those behind us went on
                if attempt == _TRIES:
                    raise
            else:
                return
    finally:
        await engine.dispose()


async def _bring_to_head(engine: AsyncEngine) -> None:
    # Another process may be doing the same: the database lets one pass, and the next finds it done.
    async with engine.execution_options(**{USE: Use.MIGRATE}).begin() as connection:
        version = await _version(connection)
        if version is None:
            await connection.run_sync(_create)
        elif version != HEAD:
            await connection.run_sync(upgrade)


async def is_current(engine: AsyncEngine) -> bool:
    """Whether there is nothing to migrate. Raises NewerFormat."""
    async with engine.execution_options(**{USE: Use.READ}).connect() as connection:
        return await _version(connection) == HEAD


async def _version(connection: AsyncConnection) -> str | None:
    """The version the database is at; None when it is fresh."""
    if not await connection.run_sync(lambda c: inspect(c).has_table(VERSION_TABLE)):
        return None
    version = await connection.scalar(select(VERSION.c.version_num))
    if version is not None and version > HEAD:
        raise NewerFormat(
            f"The control database is at version {version}, and this Headrace knows {HEAD} at most: "
            "start the newer Headrace that wrote it, or restore a backup."
        )
    return version


def _create(connection: Connection) -> None:
    Base.metadata.create_all(connection)
    VERSION.create(connection, checkfirst=True)
    connection.execute(insert(VERSION).values(version_num=HEAD))


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Run the migrations up to `revision` in the transaction of `connection`."""
    from alembic import command

    command.upgrade(configuration(connection), revision)


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's settings for our migrations; commands that look into a database need the connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    return config
