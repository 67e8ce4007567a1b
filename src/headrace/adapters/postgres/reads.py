"""What is asked of the events, as SQL. Each function is one read, in a transaction that sees one state of all."""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.filters import Condition, add_position, add_times, condition
from headrace.adapters.postgres.groups import facets as facets
from headrace.adapters.postgres.groups import histogram as histogram
from headrace.adapters.postgres.rows import COLUMNS, Y2K, fetch, fetch_events
from headrace.adapters.postgres.tails import after as after
from headrace.adapters.postgres.tails import last_seq as last_seq
from headrace.adapters.postgres.windows import Day, held, skipped, stored_days, windows
from headrace.kit.times import DAY
from headrace.model.bucket import BucketStats
from headrace.model.event import StoredEvent
from headrace.model.query import EventFilter, Search

_FIRST_ROWS = 100_000  # among so many of the first days a match is looked for first: some 50 ms without an index
_STATS = "SELECT sum(events)::bigint, min(oldest), max(newest) FROM event_days WHERE bucket_id = %s"
_SIZE = """
SELECT (SELECT coalesce(sum(events), 0)::bigint FROM event_days),
    (SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('events'))
"""


async def search(connection: Connection, wanted: Search) -> list[StoredEvent]:
    descending = wanted.order == "desc"
    since, until = wanted.times()
    days: Sequence[Day] = await stored_days(connection, wanted.bucket_id, since, until, wanted.order)
    selective, offset = wanted.filter.is_selective, wanted.offset
    if offset and not selective and wanted.after is None:
        days, offset = skipped(days, offset)
    found: list[StoredEvent] = []
    for window in windows(days, _FIRST_ROWS if selective else wanted.limit + offset):
        where = add_times(condition(wanted.bucket_id, wanted.filter), *window)
        if wanted.after is not None:
            add_position(where, wanted.after, descending)
        page = await _page(connection, where, wanted.order, wanted.limit - len(found), offset)
        found += page
        if len(found) >= wanted.limit:
            break
        if offset:
            offset = 0 if page else max(0, offset - await _count(connection, where))
    return found


async def _page(connection: Connection, where: Condition, order: str, limit: int, offset: int) -> list[StoredEvent]:
    sql = f"SELECT {COLUMNS} FROM events WHERE {where.sql} ORDER BY time {order}, id {order} LIMIT %s OFFSET %s"
    return await fetch_events(connection, sql, [*where.params, limit, offset])


async def _count(connection: Connection, where: Condition) -> int:
    [(count,)] = await fetch(connection, f"SELECT count(*) FROM events WHERE {where.sql}", where.params)
    return int(count)


async def get(connection: Connection, bucket_id: int, event_id: int, wanted: EventFilter) -> StoredEvent | None:
    """First in the day that the id tells, then in every other: a client's time may be any."""
    since, until = wanted.times()
    day = (event_id >> 80) * 1_000 // DAY * DAY
    likely = await stored_days(connection, bucket_id, day, day + DAY, "asc") if event_id >> 76 & 0xF == 7 else []
    bounds = [(likely[0].since, likely[0].until)] if likely else []
    for low, high in bounds:
        found = await _by_id(connection, bucket_id, event_id, wanted, _within(since, until, low, high))
        if found is not None:
            return found
    every = await held(connection, bucket_id, wanted)
    return None if every is None else await _by_id(connection, bucket_id, event_id, wanted, every)


async def _by_id(
    connection: Connection, bucket_id: int, event_id: int, wanted: EventFilter, times: tuple[int, int]
) -> StoredEvent | None:
    where = add_times(condition(bucket_id, wanted), *times)
    where.add("id = %s", UUID(int=event_id))
    found = await fetch_events(connection, f"SELECT {COLUMNS} FROM events WHERE {where.sql} LIMIT 1", where.params)
    return found[0] if found else None


def _within(since: int | None, until: int | None, low: int, high: int) -> tuple[int, int]:
    return low if since is None else max(low, since), high if until is None else min(high, until)


async def time_range(connection: Connection, bucket_id: int, wanted: EventFilter) -> tuple[int, int] | None:
    if wanted.times() == (None, None) and not wanted.is_selective:
        stats = await bucket_stats(connection, bucket_id)
        return None if stats.oldest is None or stats.newest is None else (stats.oldest, stats.newest)
    times = await held(connection, bucket_id, wanted)
    if times is None:
        return None
    where = add_times(condition(bucket_id, wanted), *times)
    sql = f"SELECT min(time), max(time) FROM events WHERE {where.sql}"
    [(oldest, newest)] = await fetch(connection, sql, where.params)
    return None if oldest is None else (oldest + Y2K, newest + Y2K)


async def bucket_stats(connection: Connection, bucket_id: int) -> BucketStats:
    [(events, oldest, newest)] = await fetch(connection, _STATS, [bucket_id])
    return BucketStats(events, oldest + Y2K, newest + Y2K) if events else BucketStats(0, None, None)


async def size(connection: Connection) -> tuple[int, int]:
    [(events, bytes_on_disk)] = await fetch(connection, _SIZE, [])
    return events, bytes_on_disk
