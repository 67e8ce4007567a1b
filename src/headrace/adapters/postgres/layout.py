"""Brings the tables of one part (queue, events, …) to the version that this program knows, under a lock.

The parts may share a database or have one each, so each has its own version. A version's statements run in one
transaction with the note that they ran: killed in the middle, nothing has happened, and the next run begins again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headrace.adapters.postgres.database import Connection, Database
from headrace.errors import NewerFormat, Unusable

_LOCK = 0x68656164_72616365  # "headrace" in ASCII
_SECONDS = 300.0
# A statement that waits for a lock makes everyone behind it wait: it gives up soon, and the whole is tried again.
_LOCK_TIMEOUT = "5s"
_META = "CREATE TABLE IF NOT EXISTS headrace_layout (part text PRIMARY KEY, version integer NOT NULL)"


@dataclass(frozen=True, slots=True)
class Layout:
    """`versions[n]` are the statements that lead from version n to n + 1. Released ones never change."""

    part: str
    versions: Sequence[Sequence[str]]


async def prepare(database: Database, layout: Layout, *, migrate: bool) -> None:
    """Bring it up to date, or (`migrate=False`) check that it is.

    Raises NewerFormat, Unusable when it is not and may not be migrated, and Unavailable.
    """
    async with database.asking(_SECONDS) as connection:
        if await _version(connection, layout) == len(layout.versions):
            return
    if not migrate:
        raise Unusable(f"the tables of {layout.part} are not up to date: run `headrace migrate`.")
    async with database.changing(_SECONDS) as connection:
        await _bring_up(connection, layout)


async def _bring_up(connection: Connection, layout: Layout) -> None:
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        await connection.execute(_META)
        version = await _version(connection, layout)
        for statements in layout.versions[version:]:
            for statement in statements:
                await connection.execute(statement.encode())
        await connection.execute(
            "INSERT INTO headrace_layout VALUES (%s, %s) ON CONFLICT (part) DO UPDATE SET version = excluded.version",
            (layout.part, len(layout.versions)),
        )


async def _version(connection: Connection, layout: Layout) -> int:
    there = await connection.execute("SELECT to_regclass('headrace_layout') IS NOT NULL")
    if (await there.fetchone()) != (True,):
        return 0
    found = await connection.execute("SELECT version FROM headrace_layout WHERE part = %s", (layout.part,))
    row = await found.fetchone()
    version = 0 if row is None else int(row[0])
    if version > len(layout.versions):
        raise NewerFormat(
            f"the tables of {layout.part} have version {version}, this Headrace knows {len(layout.versions)} at most: "
            "start the newer Headrace that wrote them"
        )
    return version
