"""The history's partitions: one for each day of ids, which begin with the time at which they were made.

Those of today and tomorrow are made before anything needs them. What ends on an odd day (a task that was made long ago,
whose day is gone) lies in the default one. A day that is past retention is dropped whole.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from psycopg import errors
from psycopg.sql import SQL, Identifier, Literal

from headrace.adapters.postgres.database import Connection
from headrace.kit.times import from_datetime, to_datetime

LOCK = 0x6861_7461_736B_7321  # of `pg_advisory_xact_lock`: who makes or drops partitions
LEAST_FULL = 10_000
"""Rows from which on a day is worth waiting for until it can be dropped whole."""

_AHEAD = (0, 1)  # days from today
_LOCK_TIMEOUT = "2s"
_DROP_TIMEOUT = "200ms"  # everybody who reads the history waits behind us; it is tried again with the next purge
_NAME = re.compile(r"task_history_y(\d{4})m(\d{2})d(\d{2})\Z")
_LIST = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'task_history'::regclass"
_FIRST_DAY = date(2000, 1, 1)


def name_of(day: date) -> str:
    return f"task_history_y{day.year:04}m{day.month:02}d{day.day:02}"


class Partitions:
    """Which days have one, as far as this process knows: a mistake costs speed alone."""

    def __init__(self) -> None:
        self._known: set[date] = set()

    def lacks(self, now: int) -> bool:
        return not self._known.issuperset(_days(now))

    async def ensure(self, connection: Connection, now: int) -> None:
        """Those of today and tomorrow, in transactions of their own."""
        for day in _days(now):
            if day not in self._known:
                await make(connection, day)
                self._known.add(day)


def _days(now: int) -> list[date]:
    today = to_datetime(now).date()
    return [today + timedelta(days) for days in _AHEAD if today > _FIRST_DAY]


async def make(connection: Connection, day: date) -> None:
    """That of this day, unless it is there, or somebody reads for long."""
    table, (begin, end) = Identifier(name_of(day)), _bounds(day)
    within = SQL("id >= {} AND id < {}").format(begin, end)
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            there = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name_of(day),))
            if await there.fetchone() == (True,):
                return
            for statement in (
                SQL("CREATE TABLE {} (LIKE task_history INCLUDING DEFAULTS INCLUDING STORAGE)").format(table),
                SQL(
                    "WITH moved AS (DELETE FROM task_history_rest WHERE {} RETURNING *)"
                    " INSERT INTO {} SELECT * FROM moved"
                ).format(within, table),
                # With a check, attaching need not read the table to see that it is in bounds.
                SQL("ALTER TABLE {} ADD CONSTRAINT within CHECK ({})").format(table, within),
                SQL("ALTER TABLE task_history ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    table, begin, end
                ),
                SQL("ALTER TABLE {} DROP CONSTRAINT within").format(table),
            ):
                await connection.execute(statement)
    except (errors.LockNotAvailable, errors.DeadlockDetected):
        return  # somebody reads for long: what ends meanwhile lies in the default one


async def days_there(connection: Connection) -> list[date]:
    """The oldest first."""
    found = await connection.execute(_LIST)
    matches = [_NAME.search(name) for (name,) in await found.fetchall()]
    return sorted(date(*map(int, match.groups())) for match in matches if match)


async def drop(connection: Connection, day: date, before: int) -> int | None:
    """The whole day, if everything in it ended before this time; how many tasks that were. None if it is still there.

    Nobody may write there while it is counted, and nobody may read the history for the moment in which it goes."""
    table = Identifier(name_of(day))
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{_DROP_TIMEOUT}'")
            await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
            await connection.execute(SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(table))
            late = await connection.execute(
                SQL("SELECT EXISTS (SELECT FROM {} WHERE finished_at >= {})").format(table, Literal(before))
            )
            if await late.fetchone() == (True,):
                return None
            gone = await connection.execute(
                SQL(
                    "WITH gone AS (SELECT count(*) AS number, status, owner, queue, type FROM {} GROUP BY 2, 3, 4, 5),"
                    " noted AS (INSERT INTO task_count_changes (number, status, owner, queue, type)"
                    " SELECT -number, status, owner, queue, type FROM gone)"
                    " SELECT coalesce(sum(number), 0)::bigint FROM gone"
                ).format(table)
            )
            row = await gone.fetchone()
            await connection.execute(
                SQL("DELETE FROM task_keys k USING {} h WHERE h.id = k.id AND h.idempotency_key IS NOT NULL").format(
                    table
                )
            )
            await connection.execute("LOCK TABLE task_history IN ACCESS EXCLUSIVE MODE")
            await connection.execute(SQL("DROP TABLE {}").format(table))
            return 0 if row is None else int(row[0])
    except (errors.LockNotAvailable, errors.DeadlockDetected, errors.UndefinedTable):
        return None  # somebody reads for long, or another was first: the next time


def end_of(day: date) -> int:
    """µs since 1970."""
    return from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1))


def _bounds(day: date) -> tuple[Literal, Literal]:
    end = end_of(day)
    begin = from_datetime(datetime(day.year, day.month, day.day, tzinfo=UTC))
    return _first_id(begin), _first_id(end)


def _first_id(time: int) -> Literal:
    return Literal(UUID(int=time // 1000 << 80))
