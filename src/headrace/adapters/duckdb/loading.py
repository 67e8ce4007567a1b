"""Fills the filters of known ids from the table, at start and beside everything else."""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

from headrace.adapters.duckdb.known_ids import KEY_SQL, RANGE_KEY_SQL, KeyFilter, KnownIds
from headrace.adapters.duckdb.readers import Session


def load_known_ids(session: Session, since: int) -> KnownIds:
    """Ids seen at or after `since` (µs). Takes about 0.5 s a million; what needs them waits."""
    known = KnownIds()
    _fill(session, known.singles, f"SELECT {KEY_SQL}, seen_at FROM client_ids WHERE n = 1 AND seen_at >= ?", since)
    _fill(
        session, known.singles_by_range,
        f"SELECT {RANGE_KEY_SQL}, seen_at FROM client_ids WHERE n = 1 AND seen_at >= ?", since,
    )  # fmt: skip
    _fill(session, known.ranges, f"SELECT {RANGE_KEY_SQL}, seen_at FROM client_ids WHERE n > 1 AND seen_at >= ?", since)
    return known


def _fill(session: Session, known: KeyFilter, sql: str, since: int) -> None:
    for page in session.pages(sql, [since]):
        known.add([key for key, _ in page], max(seen_at for _, seen_at in page))
