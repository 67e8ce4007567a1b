"""Counts of events: by time, and by the values of their fields."""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.filters import Condition, add_times, condition
from headrace.adapters.postgres.rows import Y2K, fetch
from headrace.adapters.postgres.windows import held, stored_days
from headrace.kit.times import DAY
from headrace.model.event import LEVELS
from headrace.model.query import EventFilter, FacetValue, GroupField, HistogramBar

# The planner expects a bar for each different time, and would sort all events; a hash table of the few bars takes half.
_FEW_GROUPS = "SET LOCAL enable_sort = off"
_FACET_COLUMNS = {"actor": "actor_id", "target": "target_id"}


async def histogram(
    connection: Connection, bucket_id: int, wanted: EventFilter, interval: int, by: GroupField | None
) -> list[HistogramBar]:
    if by is None and interval % DAY == 0 and not wanted.is_selective:
        days = await stored_days(connection, bucket_id, *wanted.times(), "asc")
        if all(day.is_whole for day in days):
            return _bars(((day.since // interval * interval, None, day.events) for day in days), by)
    times = await held(connection, bucket_id, wanted)
    if times is None:
        return []
    where = add_times(condition(bucket_id, wanted), *times)
    sql = (
        f"SELECT date_bin(%s, time, 'epoch'), {by or 'NULL'}, count(*) FROM events WHERE {where.sql}"
        " GROUP BY 1, 2"
    )
    await connection.execute(_FEW_GROUPS)
    rows = await fetch(connection, sql, [timedelta(microseconds=interval), *where.params])
    return _bars(((bar + Y2K, part, count) for bar, part, count in sorted(rows, key=_bar_and_part)), by)


def _bar_and_part(row: tuple[Any, ...]) -> tuple[int, bool, Any]:
    bar, part, _ = row
    return bar, part is None, part


def _bars(rows: Iterable[tuple[int, Any, int]], by: GroupField | None) -> list[HistogramBar]:
    """Of rows in order of time: (bar, part, count)."""
    counts: dict[int, int] = {}
    parts: dict[int, list[tuple[str, int]]] = {}
    for bar, part, count in rows:
        counts[bar] = counts.get(bar, 0) + count
        if part is not None:
            parts.setdefault(bar, []).append((LEVELS[part] if by == "level" else part, count))
    return [HistogramBar(bar, count, tuple(parts.get(bar, ()))) for bar, count in counts.items()]


async def facets(
    connection: Connection, bucket_id: int, wanted: EventFilter, fields: Sequence[str], limit: int
) -> dict[str, list[FacetValue]]:
    result: dict[str, list[FacetValue]] = {field: [] for field in fields}
    times = await held(connection, bucket_id, wanted)
    if times is None or not fields:
        return result
    where = add_times(condition(bucket_id, wanted), *times)
    sql = _facets_sql([_FACET_COLUMNS.get(field, field) for field in fields], where)
    for index, text, count in await fetch(connection, sql, [*where.params, len(fields) - 1, limit]):
        field = fields[index]
        result[field].append(FacetValue(LEVELS[int(text)] if field == "level" else text, count))
    return result


def _facets_sql(columns: Sequence[str], where: Condition) -> str:
    """One scan for all fields: four at once take 0.4 s of 300,000 events, one after the other 0.7.

    The best of each are then picked one field at a time: ranking all values in one go takes another 0.6 s.
    """
    sets = ", ".join(f"({column})" for column in columns)
    whens = " ".join(f"WHEN grouping({column}) = 0 THEN {index}" for index, column in enumerate(columns))
    value = ", ".join(f"{column}::text" for column in columns)
    return (
        f"WITH counted AS MATERIALIZED (SELECT CASE {whens} END AS field, coalesce({value}) AS value, count(*) AS n"
        f" FROM events WHERE {where.sql} GROUP BY GROUPING SETS ({sets}))"
        " SELECT field, value, n FROM generate_series(0, %s) AS wanted, LATERAL (SELECT * FROM counted"
        " WHERE field = wanted AND value IS NOT NULL ORDER BY n DESC, value LIMIT %s) AS best"
        " ORDER BY field, n DESC, value"
    )
