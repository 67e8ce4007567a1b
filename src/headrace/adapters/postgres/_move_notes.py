"""What a move into this database notes of itself, in the transactions in which it moves: whose it is, how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from headrace.adapters.postgres.database import Connection, Database
from headrace.adapters.postgres.layout import Layout
from headrace.errors import Conflict

LAYOUT = Layout(
    "move",
    [
        [
            """CREATE TABLE headrace_move (
                part text PRIMARY KEY, source text NOT NULL, reached bigint NOT NULL DEFAULT 0,
                finished_at timestamptz
            )"""
        ]
    ],
)
_NOTE = "INSERT INTO headrace_move (part, source) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_FIND = "SELECT source, reached, finished_at FROM headrace_move WHERE part = %s"
_REACH = "UPDATE headrace_move SET reached = %s WHERE part = %s"
_SECONDS = 60.0


class Note(NamedTuple):
    """Of one part."""

    source: str
    reached: int
    finished_at: datetime | None


async def find(database: Database, part: str) -> Note | None:
    async with database.asking(_SECONDS) as connection:
        return await _find(connection, part)


async def look(database: Database, part: str, source: str, tables: Sequence[str]) -> None:
    """Raise Conflict unless the tables are empty, or are those of an unfinished move from `source`."""
    async with database.asking(_SECONDS) as connection:
        note = await _find(connection, part)
        if note is not None:
            check(database.name, source, note.source, finished=note.finished_at is not None)
            return
        for table in tables:
            found = await connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table})")  # noqa: S608 - our own names
            if await found.fetchone() == (True,):
                raise occupied(database.name, table)


def check(name: str, source: str, owner: str, *, finished: bool) -> None:
    """Raise Conflict for what another move has brought, or one that is done."""
    if owner != source:
        raise Conflict(f"{name} holds what was copied from another data directory: give an empty database.")
    if finished:
        raise Conflict(f"{name} holds a finished copy: give an empty database for another one.")


def occupied(name: str, table: str) -> Conflict:
    return Conflict(
        f"{name} has data already (in {table}), which no copy of this data directory brought: give an empty database."
    )


async def begin(database: Database, source: str, parts: Sequence[str]) -> Mapping[str, int]:
    """Note whose the parts are; how far each is."""
    reached: dict[str, int] = {}
    async with database.changing(_SECONDS) as connection, connection.transaction():
        for part in parts:
            await connection.execute(_NOTE, (part, source))
            note = await _find(connection, part)
            assert note is not None
            check(database.name, source, note.source, finished=note.finished_at is not None)
            reached[part] = note.reached
    return reached


async def reach(connection: Connection, part: str, place: int) -> None:
    """In the transaction that stores what is up to `place`."""
    await connection.execute(_REACH, (place, part))


async def _find(connection: Connection, part: str) -> Note | None:
    row = await (await connection.execute(_FIND, (part,))).fetchone()
    return None if row is None else Note(*row)
