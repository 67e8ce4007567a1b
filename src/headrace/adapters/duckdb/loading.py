"""Fills the filters of known ids from the table, at start and beside everything else."""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

from headrace.adapters.duckdb.known_ids import KEY_SQL, RANGE_KEY_SQL, KnownIds
from headrace.adapters.duckdb.readers import Session


def load_known_ids(session: Session, now: int) -> KnownIds:
    """All that were not forgotten, whatever the clock says of their age. Takes about 0.3 s a million; what needs them
    waits."""
    known = KnownIds()
    for keys, kind, sql in (
        (known.singles, "n = 1", KEY_SQL),
        (known.singles_by_range, "n = 1", RANGE_KEY_SQL),
        (known.ranges, "n > 1", RANGE_KEY_SQL),
    ):
        for page in session.column(f"SELECT {sql} FROM client_ids WHERE {kind}"):
            keys.add(page, now)
    return known
