"""The rows of a store as a file for COPY, and an empty table of the same kind to copy them into."""

from __future__ import annotations

import asyncio
from datetime import date
from pathlib import Path

import psycopg

from benchmarks.postgres import Postgres
from headrace.adapters.postgres.database import Database
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.postgres.partitions import Partitions, day_of
from headrace.adapters.postgres.schema import COLUMNS
from headrace.adapters.system.clock import SystemClock

_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"
_NAMES = ", ".join(name for name, _ in COLUMNS)
_GIVE = f"COPY given ({_NAMES}) FROM STDIN (FORMAT BINARY)"
_GIVEN = (
    "CREATE TABLE given (place bigint GENERATED ALWAYS AS IDENTITY, LIKE events)",
    "ALTER TABLE given ADD PRIMARY KEY (place)",
)


def export(url: str, file: Path) -> None:
    """All events, in order of position, as binary COPY."""
    with (
        psycopg.connect(url) as connection,
        connection.cursor().copy("COPY (SELECT * FROM events ORDER BY seq) TO STDOUT (FORMAT BINARY)") as copy,
        file.open("wb") as out,
    ):
        for data in copy:
            out.write(data)


def empty_copy(postgres: Postgres, like: str, *, given: Path | None = None) -> tuple[str, int]:
    """The URL of a database with the same empty tables and partitions, and how many events there are in `like`.

    `given`: a file of rows, to be put into a table of that name, each with its place in it.
    """
    url = postgres.create_database()
    days = [day for (name,) in postgres.sql(like, _PARTITIONS) if (day := day_of(name))]
    asyncio.run(_make(url, days))
    [(rows,)] = postgres.sql(like, "SELECT count(*) FROM events")
    if given is not None:
        _give(url, given)
    return url, int(rows)


async def _make(url: str, days: list[date]) -> None:
    clock = SystemClock()
    store = await PostgresEvents.open(PostgresOptions(url), clock)
    await store.close()
    database = Database(url, clock, name="an empty copy", size=1)
    await database.open()
    async with database.changing(60.0) as connection:
        await Partitions(clock).make(connection, days)
    await database.close()


def _give(url: str, file: Path) -> None:
    with psycopg.connect(url) as connection:
        for statement in _GIVEN:
            connection.execute(statement.encode())
        with connection.cursor().copy(_GIVE.encode()) as copy, file.open("rb") as data:
            while part := data.read(1 << 18):
                copy.write(part)
