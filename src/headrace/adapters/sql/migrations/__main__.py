"""Writes the next migration from what differs between the models and the migrations so far.

    python -m headrace.adapters.sql.migrations "users and grants"

Read what it wrote: it cannot know a renamed column from a new one.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import Connection

from headrace.adapters.sql.engine import open_engine
from headrace.adapters.sql.migrate import MIGRATIONS, configuration, upgrade


def write_next(connection: Connection, title: str) -> None:
    """A file in `versions/`, one number on. `connection` is to an empty database."""
    number = len(list((MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))) + 1
    if number > 1:
        upgrade(connection)
    command.revision(configuration(connection), title, autogenerate=True, rev_id=f"{number:04}")


async def main(title: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        engine = open_engine(f"sqlite:///{Path(folder, 'empty.db')}", migrating=True)
        async with engine.begin() as connection:
            await connection.run_sync(write_next, title)
        await engine.dispose()


if __name__ == "__main__":
    asyncio.run(main(" ".join(sys.argv[1:]) or sys.exit(__doc__)))
