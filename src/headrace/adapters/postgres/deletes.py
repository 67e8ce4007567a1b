"""Deletes: a whole partition where nobody else's events are in it, else a few thousand events at a time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from psycopg import errors
from psycopg.sql import SQL, Identifier

from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.partitions import LOCK, Partitions, name_of
from headrace.kit.times import to_datetime

_SLICE = 5_000  # events in one transaction: about 0.1 s
_DAYS = "SELECT day, events FROM event_days WHERE bucket_id = %s AND (%s::date IS NULL OR day <= %s) ORDER BY day"
# As it is now: another process may have dropped the partition, and new events of the day lie in the default one.
_ALONE = """
SELECT to_regclass(%s) IS NOT NULL AND NOT EXISTS (SELECT 1 FROM event_days WHERE day = %s AND bucket_id <> %s)
"""
_DELETE = """
WITH doomed AS (
    SELECT tableoid AS part, ctid AS place FROM events
    WHERE bucket_id = %(bucket)s AND time >= %(begin)s AND time < %(end)s LIMIT %(most)s
)
DELETE FROM events USING doomed
WHERE events.tableoid = part AND events.ctid = place AND time >= %(begin)s AND time < %(end)s
"""
_RECOUNT = """
UPDATE event_days SET events = events - %(gone)s, oldest = coalesce(
    (SELECT min(time) FROM events WHERE bucket_id = %(bucket)s AND time >= %(begin)s AND time < %(end)s), oldest)
WHERE bucket_id = %(bucket)s AND day = %(day)s
"""
_EMPTY = "DELETE FROM event_days WHERE bucket_id = %s AND day = %s AND events <= 0"
_LOCK_TIMEOUT = "1s"


class Deleter:
    def __init__(self, partitions: Partitions) -> None:
        self._partitions = partitions

    async def delete(self, connection: Connection, bucket_id: int, before: int | None) -> int:
        """The events of a bucket with time < `before` (µs; None: all) that one step takes; 0 when none is left."""
        limit = None if before is None else to_datetime(before)
        last_day = None if limit is None else limit.date()
        found = await connection.execute(_DAYS, (bucket_id, last_day, last_day))
        for day, events in await found.fetchall():
            whole = limit is None or _end(day) <= limit
            if whole and await self._drop(connection, bucket_id, day):
                return int(events)
            gone = await _delete_slice(connection, bucket_id, day, _end(day) if whole or limit is None else limit)
            if gone:
                return gone
        return 0

    async def _drop(self, connection: Connection, bucket_id: int, day: date) -> bool:
        """Whether the day's partition held this bucket alone, and is gone."""
        if not await self._partitions.has(connection, day) or not await _alone(connection, bucket_id, day):
            return False
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
                await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                if not await _alone(connection, bucket_id, day):
                    return False
                await connection.execute(SQL("DROP TABLE {}").format(Identifier(name_of(day))))
                await connection.execute("DELETE FROM event_days WHERE day = %s", (day,))
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            return False
        self._partitions.forget()
        return True


async def _alone(connection: Connection, bucket_id: int, day: date) -> bool:
    """Whether there is a partition of the day, and no other bucket's events are in it."""
    found = await connection.execute(_ALONE, (name_of(day), day, bucket_id))
    return await found.fetchone() == (True,)


async def _delete_slice(connection: Connection, bucket_id: int, day: date, end: datetime) -> int:
    place = {"bucket": bucket_id, "day": day, "begin": _begin(day), "end": end, "most": _SLICE}
    async with connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = '60s'")
        gone = (await connection.execute(_DELETE, place)).rowcount
        if gone:
            await connection.execute(_RECOUNT, {**place, "gone": gone, "end": _end(day)})
            await connection.execute(_EMPTY, (bucket_id, day))
    return gone


def _begin(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _end(day: date) -> datetime:
    return _begin(day) + timedelta(days=1)
