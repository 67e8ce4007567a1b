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
from headrace.adapters.system.clock import SystemClock

_PARTITIONS = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"
_GIVEN = (
    "CREATE TABLE given (place bigint GENERATED ALWAYS AS IDENTITY, LIKE events)",
    "ALTER TABLE given ADD PRIMARY KEY (place)",
)


def export(url: str, file: Path) -> None:
    """All events, in order of position, as binary COPY."""
    with psycopg.connect(url) as connection, file.open("wb") as out:
        with connection.cursor().copy("COPY (SELECT * FROM events ORDER BY seq) TO STDOUT (FORMAT BINARY)") as copy:
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
        names = connection.execute(
            "SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute"
            " WHERE attrelid = 'events'::regclass AND attnum > 0"
        ).fetchall()[0][0]
        with connection.cursor().copy(f"COPY given ({names}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
            with file.open("rb") as data:
                while part := data.read(1 << 18):
                    copy.write(part)
