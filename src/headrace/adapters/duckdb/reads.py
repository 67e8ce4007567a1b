"""What is asked of the events, as SQL. Each function is one read: it runs in a thread, on the session it is given."""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

from collections.abc import Sequence

from headrace.adapters.duckdb.filters import Condition, add_position, add_times, condition
from headrace.adapters.duckdb.readers import Session
from headrace.adapters.duckdb.rows import COLUMNS, stored_event
from headrace.adapters.duckdb.schema import ROW_GROUP
from headrace.adapters.duckdb.windows import windows
from headrace.model.bucket import BucketStats
from headrace.model.event import LEVELS, StoredEvent
from headrace.model.query import EventFilter, FacetValue, GroupField, HistogramBar, Search

_FACET_COLUMNS = {"actor": "actor_id", "target": "target_id"}
_TAIL_GROWTH = 8


def search(session: Session, wanted: Search, stats: BucketStats) -> list[StoredEvent]:
    descending = wanted.order == "desc"
    since, until = wanted.times()
    first = ROW_GROUP if wanted.filter.is_selective else 8 * (wanted.limit + wanted.offset)
    found: list[StoredEvent] = []
    offset = wanted.offset
    for window in windows(stats, since, until, wanted.order, first):
        where = add_times(condition(wanted.bucket_id, wanted.filter), *window)
        if wanted.after is not None:
            add_position(where, wanted.after, descending)
        if offset:
            count = _count(session, where)
            if count <= offset:
                offset -= count
                continue
        found += _page(session, where, wanted.order, wanted.limit - len(found), offset)
        offset = 0
        if len(found) >= wanted.limit:
            break
    return found


def _count(session: Session, where: Condition) -> int:
    return int(session.rows(f"SELECT count(*) FROM events WHERE {where.sql}", where.params)[0][0])


def _page(session: Session, where: Condition, order: str, limit: int, offset: int) -> list[StoredEvent]:
    by = ", ".join(f"{column} {order}" for column in ("time", "id_hi", "id_lo"))
    rows = f"FROM events WHERE {where.sql} ORDER BY {by} LIMIT ? OFFSET ?"
    if offset:  # DuckDB would fetch the texts of the rows before the page too: 98 ms for 9,900 of them, so 15
        rows = f"FROM events WHERE rowid IN (SELECT rowid {rows}) ORDER BY {by}"
    return [stored_event(row) for row in session.rows(f"SELECT {COLUMNS} {rows}", [*where.params, limit, offset])]


def get(session: Session, bucket_id: int, event_id: int, wanted: EventFilter) -> StoredEvent | None:
    where = add_times(condition(bucket_id, wanted), *wanted.times())
    where.add("id_hi = ? AND id_lo = ?", event_id >> 64, event_id & (1 << 64) - 1)
    rows = session.rows(f"SELECT {COLUMNS} FROM events WHERE {where.sql} LIMIT 1", where.params)
    return stored_event(rows[0]) if rows else None


def after(
    session: Session, bucket_id: int, wanted: EventFilter, seq: int, last_seq: int, limit: int
) -> tuple[list[StoredEvent], int]:
    """Positions are looked at in growing steps, so that a tail that is nearly up to date reads nearly nothing."""
    found: list[StoredEvent] = []
    step = max(4 * limit, 1_000)
    while seq < last_seq and len(found) < limit:
        upto = min(seq + step, last_seq)
        where = add_times(condition(bucket_id, wanted), *wanted.times())
        where.add("seq > ? AND seq <= ?", seq, upto)
        sql = f"SELECT {COLUMNS} FROM events WHERE {where.sql} ORDER BY seq LIMIT ?"
        rows = session.rows(sql, [*where.params, limit - len(found)])
        found += map(stored_event, rows)
        seq, step = (found[-1].seq if len(found) >= limit else upto), step * _TAIL_GROWTH
    return found, seq


def histogram(
    session: Session, bucket_id: int, wanted: EventFilter, interval: int, by: GroupField | None
) -> list[HistogramBar]:
    where = add_times(condition(bucket_id, wanted), *wanted.times())
    group = by or "NULL"
    sql = (
        f"SELECT epoch_us(time) // ? AS bar, {group} AS part, count(*) FROM events WHERE {where.sql}"
        " GROUP BY ALL ORDER BY bar, part"
    )
    counts: dict[int, int] = {}
    parts: dict[int, list[tuple[str, int]]] = {}
    for bar, part, count in session.rows(sql, [interval, *where.params]):
        counts[bar] = counts.get(bar, 0) + count
        if part is not None:
            parts.setdefault(bar, []).append((LEVELS[part] if by == "level" else part, count))
    return [HistogramBar(bar * interval, count, tuple(parts.get(bar, ()))) for bar, count in counts.items()]


def time_range(session: Session, bucket_id: int, wanted: EventFilter) -> tuple[int, int] | None:
    where = add_times(condition(bucket_id, wanted), *wanted.times())
    sql = f"SELECT epoch_us(min(time)), epoch_us(max(time)) FROM events WHERE {where.sql}"
    oldest, newest = session.rows(sql, where.params)[0]
    return None if oldest is None else (oldest, newest)


def facets(
    session: Session, bucket_id: int, wanted: EventFilter, fields: Sequence[str], limit: int
) -> dict[str, list[FacetValue]]:
    """One scan for all fields where there is a filter; else a scan each, of that one column.

    Counting a column of few values alone takes 14 ms of 5 M events, since only their numbers are read; four at once
    take 86 ms. A filter would have to be applied in each of the scans.
    """
    where = add_times(condition(bucket_id, wanted), *wanted.times())
    if len(fields) > 1 and wanted.is_selective:
        return _facets_together(session, where, fields, limit)
    return {field: _facet(session, where, field, limit) for field in fields}


def _facet(session: Session, where: Condition, field: str, limit: int) -> list[FacetValue]:
    column = _FACET_COLUMNS.get(field, field)
    sql = f"SELECT {column}, count(*) AS n FROM events WHERE {where.sql} GROUP BY 1 ORDER BY n DESC, 1 LIMIT ?"
    rows = session.rows(sql, [*where.params, limit + 1])  # one of them may be the absence of a value
    return [_facet_value(field, value, count) for value, count in rows if value is not None][:limit]


def _facets_together(
    session: Session, where: Condition, fields: Sequence[str], limit: int
) -> dict[str, list[FacetValue]]:
    columns = [_FACET_COLUMNS.get(field, field) for field in fields]
    sets = ", ".join(f"({column})" for column in columns)
    whens = " ".join(f"WHEN grouping({column}) = 0 THEN {index}" for index, column in enumerate(columns))
    value = ", ".join(f"{column}::VARCHAR" for column in columns)
    sql = (
        f"SELECT field, value, n FROM (SELECT CASE {whens} END AS field, coalesce({value}) AS value, count(*) AS n"
        f" FROM events WHERE {where.sql} GROUP BY GROUPING SETS ({sets})) WHERE value IS NOT NULL"
        " QUALIFY row_number() OVER (PARTITION BY field ORDER BY n DESC, value) <= ? ORDER BY field, n DESC, value"
    )
    result: dict[str, list[FacetValue]] = {field: [] for field in fields}
    for index, text, count in session.rows(sql, [*where.params, limit]):
        field = fields[index]
        result[field].append(_facet_value(field, int(text) if field == "level" else text, count))
    return result


def _facet_value(field: str, value: str | int, count: int) -> FacetValue:
    return FacetValue(LEVELS[value] if field == "level" and isinstance(value, int) else str(value), count)
