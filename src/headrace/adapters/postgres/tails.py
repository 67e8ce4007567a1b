"""What was stored after a position, in order of storing: for live tails and for whoever reads everything once."""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.filters import add_times, condition
from headrace.adapters.postgres.rows import COLUMNS, Y2K, fetch, fetch_events
from headrace.adapters.postgres.windows import stored_days
from headrace.model.event import StoredEvent
from headrace.model.query import EventFilter

_GROWTH = 8
_LAST = "SELECT last_seq FROM event_position"
# Batches follow each other without a gap, and the oldest are forgotten first.
_BATCHES = """
SELECT min(first_seq), min(oldest) FILTER (WHERE %s = ANY(bucket_ids)), max(newest) FILTER (WHERE %s = ANY(bucket_ids))
FROM event_batches
WHERE last_seq > %s AND last_seq <= (SELECT min(last_seq) FROM event_batches WHERE last_seq >= %s)
"""

Times = tuple[int, int]


async def last_seq(connection: Connection) -> int:
    [(seq,)] = await fetch(connection, _LAST, [])
    return int(seq)


async def after(
    connection: Connection, bucket_id: int, wanted: EventFilter, seq: int, limit: int
) -> tuple[list[StoredEvent], int]:
    """Positions are looked at in growing steps, so that a tail that is nearly up to date reads nearly nothing."""
    newest = await last_seq(connection)
    found: list[StoredEvent] = []
    step = max(4 * limit, 1_000)
    while seq < newest and len(found) < limit:
        upto = min(seq + step, newest)
        times = await _times(connection, bucket_id, wanted, seq, upto)
        if times is not None:
            where = add_times(condition(bucket_id, wanted), *times)
            where.add("seq > %s AND seq <= %s", seq, upto)
            sql = f"SELECT {COLUMNS} FROM events WHERE {where.sql} ORDER BY seq LIMIT %s"
            found += await fetch_events(connection, sql, [*where.params, limit - len(found)])
        seq, step = (found[-1].seq if len(found) >= limit else upto), step * _GROWTH
    return found, seq


async def _times(
    connection: Connection, bucket_id: int, wanted: EventFilter, seq: int, upto: int
) -> Times | None:
    """The times of the bucket's events among these positions; None where it has none."""
    since, until = wanted.times()
    [(first, oldest, newest)] = await fetch(connection, _BATCHES, [bucket_id, bucket_id, seq, upto])
    if first is not None and first <= seq + 1:
        if oldest is None:
            return None
        low, high = oldest + Y2K, newest + Y2K + 1
        since, until = low if since is None else max(since, low), high if until is None else min(until, high)
    days = await stored_days(connection, bucket_id, since, until, "asc")
    return (days[0].since, days[-1].until) if days else None
