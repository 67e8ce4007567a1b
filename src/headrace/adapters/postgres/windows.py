"""Pages in order of time without reading everything: the days that hold a page first, then ever larger parts.

Days outside of a window are partitions that no statement touches; planning alone costs about 0.1 ms for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.filters import Condition
from headrace.adapters.postgres.rows import fetch
from headrace.kit.times import DAY, clamped, to_datetime
from headrace.model.query import EventFilter, Order

Window = tuple[int, int]
"""since ≤ time < until, in µs."""

_GROWTH = 16
_DAYS = "SELECT day - DATE 'epoch', events FROM event_days WHERE {} ORDER BY day {}"


@dataclass(frozen=True, slots=True)
class Day:
    """A day that holds events of the bucket, as far as it is asked for. Exact if `is_whole`."""

    since: int
    until: int
    events: int
    is_whole: bool


async def stored_days(
    connection: Connection, bucket_id: int, since: int | None, until: int | None, order: Order
) -> list[Day]:
    """The days between `since` and `until` (µs) that hold events of the bucket."""
    where = Condition()
    where.add("bucket_id = %s", bucket_id)
    if since is not None:
        where.add("day >= %s", to_datetime(clamped(since)).date())
    if until is not None:
        where.add("day <= %s", to_datetime(clamped(until - 1)).date())
    days = []
    for day, events in await fetch(connection, _DAYS.format(where.sql, order), where.params):
        begin, end = day * DAY, (day + 1) * DAY
        low = begin if since is None else max(begin, since)
        high = end if until is None else min(end, until)
        if low < high:
            days.append(Day(low, high, events, (low, high) == (begin, end)))
    return days


async def held(connection: Connection, bucket_id: int, wanted: EventFilter) -> Window | None:
    """The times that are asked for and of which the bucket holds anything; None if it does not."""
    days = await stored_days(connection, bucket_id, *wanted.times(), "asc")
    return (days[0].since, days[-1].until) if days else None


def skipped(days: Sequence[Day], offset: int) -> tuple[Sequence[Day], int]:
    """Without the whole days that the offset passes over, and what is left of it."""
    for place, day in enumerate(days):
        if not day.is_whole or day.events > offset:
            return days[place:], offset
        offset -= day.events
    return [], offset


def windows(days: Sequence[Day], rows: int) -> Iterator[Window]:
    """Windows over the days in their order, the first of them with at least `rows` events."""
    place = 0
    while place < len(days):
        first, events = place, 0
        while place < len(days) and events < rows:
            events += days[place].events
            place += 1
        one, other = days[first], days[place - 1]
        yield min(one.since, other.since), max(one.until, other.until)
        rows *= _GROWTH
