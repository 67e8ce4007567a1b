"""Partitions by day, made when they are needed: for the days around now, and for a day that brings many events.

What comes in ones and twos for odd days stays in the default partition; when such a day gets its own, its events move
along in the same transaction. So there are never hundreds of empty tables, nor a default one that grows without bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

from psycopg import errors
from psycopg.sql import SQL, Identifier, Literal

from headrace.adapters.postgres.database import Connection
from headrace.kit.times import to_datetime
from headrace.ports.clock import Clock

REST = "events_rest"
LOCK = 0x68656164_65766e74
"""Of `pg_advisory_xact_lock`: who writes, or changes what partitions there are, holds it until the commit."""

_AHEAD = (-1, 0, 1, 2)  # days around today that are made before anything comes for them
WORTH_ONE = 1_000
"""Events of a day in one batch for which it gets a partition."""

_AT_ONCE = 8  # new ones before one write: each takes about 30 ms
_FRESH = 60.0  # seconds until the list of partitions is read again: another process may have dropped some
_LOCK_TIMEOUT = "2s"  # for the moment in which nobody may read the default partition
_BUSY = 10.0  # seconds until that is tried again: else each write would wait as long while somebody reads
_NAME = re.compile(r"events_y(\d{4})m(\d{2})d(\d{2})\Z")
_LIST = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"


def name_of(day: date) -> str:
    return f"events_y{day.year:04}m{day.month:02}d{day.day:02}"


def day_of(name: str) -> date | None:
    """The day of a partition; None for the default one."""
    match = _NAME.search(name)
    return date(*map(int, match.groups())) if match else None


class Partitions:
    """Which days have a partition, as far as this process knows: a mistake costs speed, never an event."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: set[date] = set()
        self._read_at = float("-inf")
        self._busy_until = float("-inf")

    async def ensure(self, connection: Connection, counts: Mapping[date, int]) -> None:
        """Before so many events of these days are written, in transactions of their own."""
        await self._refresh(connection)
        today = to_datetime(self._clock.now()).date()
        wanted = {today + timedelta(days) for days in _AHEAD}
        wanted.update(day for day, count in counts.items() if count >= WORTH_ONE)
        for day in sorted(wanted - self._known, reverse=True)[:_AT_ONCE]:
            if self._clock.monotonic() >= self._busy_until:
                await self._make(connection, day)

    async def make(self, connection: Connection, days: Iterable[date]) -> None:
        """One for each of `days` that has none, in transactions of their own."""
        await self._refresh(connection)
        for day in sorted(set(days) - self._known):
            await self._make(connection, day)

    async def has(self, connection: Connection, day: date) -> bool:
        await self._refresh(connection)
        return day in self._known

    def forget(self) -> None:
        """Something was dropped: read the list again."""
        self._read_at = float("-inf")

    async def _refresh(self, connection: Connection) -> None:
        now = self._clock.monotonic()
        if now - self._read_at > _FRESH:
            found = await connection.execute(_LIST)
            self._known = {day for (name,) in await found.fetchall() if (day := day_of(name))}
            self._read_at = now

    async def _make(self, connection: Connection, day: date) -> None:
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                await _attach(connection, day)
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            # Somebody reads for long: its events go into the default partition, and move another time.
            self._busy_until = self._clock.monotonic() + _BUSY
        else:
            self._known.add(day)


async def _attach(connection: Connection, day: date) -> None:
    """Made and filled beside the others, then attached: that locks the default partition alone, for a moment."""
    name = name_of(day)
    there = await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))
    if await there.fetchone() == (True,):
        return
    table, (begin, end) = Identifier(name), _bounds(day)
    within = SQL("time >= {} AND time < {}").format(begin, end)
    for statement in (
        SQL("CREATE TABLE {} (LIKE events INCLUDING DEFAULTS INCLUDING STORAGE)").format(table),
        SQL(
            "WITH moved AS (DELETE FROM events_rest WHERE {} RETURNING *) INSERT INTO {} SELECT * FROM moved"
        ).format(within, table),
        # With a check, attaching need not read the table to see that it is in bounds.
        SQL("ALTER TABLE {} ADD CONSTRAINT within CHECK ({})").format(table, within),
        SQL("ALTER TABLE events ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(table, begin, end),
        SQL("ALTER TABLE {} DROP CONSTRAINT within").format(table),
    ):
        await connection.execute(statement)


def _bounds(day: date) -> tuple[Literal, Literal]:
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return Literal(begin), Literal(begin + timedelta(days=1))
