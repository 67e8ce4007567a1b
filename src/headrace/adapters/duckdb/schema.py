"""The tables of `events.duckdb`, and the number by which a later program knows their layout.

No table has an index: deletes from an indexed table make the file swell to 3–4 times its size, and DuckDB prunes by
the smallest and largest value of each row group (122,880 rows), which suits what comes nearly in order of time.
"""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

FORMAT = 1
"""Raised when a program that knows only the number before could not read or would damage the file."""

ROW_GROUP = 122_880  # rows; DuckDB's default, and what it prunes, rewrites and frees as one

STRINGS = (
    "service", "action", "actor_id", "actor_type", "actor_name", "target_id", "target_type", "target_name", "outcome",
    "message", "attributes", "trace_id", "span_id",
)

EVENT_COLUMNS = (
    ("seq", "BIGINT NOT NULL"),
    ("bucket_id", "UINTEGER NOT NULL"),
    ("id_hi", "UBIGINT NOT NULL"),
    ("id_lo", "UBIGINT NOT NULL"),
    ("time", "TIMESTAMP NOT NULL"),
    ("received_at", "TIMESTAMP NOT NULL"),
    ("level", "UTINYINT NOT NULL"),
    *((name, "VARCHAR") for name in STRINGS),
)  # fmt: skip

DERIVED_COLUMNS = (
    # Whether a value may be written in another way than it reads. As a column it costs nothing where it is constant;
    # asking the text each time costs a third of a search.
    ("escaped", "BOOLEAN NOT NULL", r"coalesce(contains(attributes, '\'), false)"),
)

TABLES = (
    f"CREATE TABLE events ({', '.join(f'{name} {kind}' for name, kind, *_ in (*EVENT_COLUMNS, *DERIVED_COLUMNS))})",
    # A block that the queue hands out again is known by its id. Times in µs.
    """CREATE TABLE stored_blocks (
        id_hi UBIGINT NOT NULL, id_lo UBIGINT NOT NULL, bucket_id UINTEGER NOT NULL, stored_at BIGINT NOT NULL
    )""",
    # Ids that a client chose: `n` consecutive ones from (id_hi, id_lo) on, all with the same id_lo >> 20.
    """CREATE TABLE client_ids (
        bucket_id UINTEGER NOT NULL, id_hi UBIGINT NOT NULL, id_lo UBIGINT NOT NULL, n UINTEGER NOT NULL,
        seen_at BIGINT NOT NULL
    )""",
    # format: FORMAT. seq_floor: positions up to this one were given, even if the events are deleted since.
    "CREATE TABLE meta (key VARCHAR NOT NULL, value BIGINT NOT NULL)",
    f"INSERT INTO meta VALUES ('format', {FORMAT}), ('seq_floor', 0)",
)
