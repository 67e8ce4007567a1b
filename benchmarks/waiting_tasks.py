"""Tables in which many tasks wait, filled behind the adapters' backs: through them, millions would take half an hour.

The words that `q` searches are left out: neither a claim nor an end looks at those of other tasks.
"""

from __future__ import annotations

from pathlib import Path

import apsw

from benchmarks.postgres import Postgres
from headrace.kit.ids import uuid7

OWNER = "bench"
TYPE = "add"
_ARGS = b'{"a":5,"b":10}'

_SQLITE_LANE = "INSERT INTO lanes VALUES (1, 'default', ?1, ?2, 0, ?3, 0, 0, 0, 0, 0, 0)"
_SQLITE_TASKS = """INSERT INTO tasks (seq, id, lane, status, shelf, priority, attempt, max_attempts, created_at, args)
    WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
    SELECT n, unhex(?2 || printf('%016x', n)), 1, 1, 1, 5, 0, 5, ?3, ?4 FROM numbers"""

_POSTGRES = (
    "INSERT INTO task_queues (name) VALUES ('default')",
    """INSERT INTO tasks (id, created_at, lane, rank, max_attempts, priority, state, type, owner, queue, args, search)
        SELECT ('{begin}' || lpad(to_hex(n), 16, '0'))::uuid, {now}, l.lane, pg_current_xact_id()::text::bigint, 5, 5,
            1, '{type}', '{owner}', 'default', '{args}'::bytea, ''
        FROM (SELECT headrace_task_lane('{owner}', 'default', '{type}', 5::smallint, false) AS lane) AS l,
            generate_series(1, {count}) AS n""",
    "INSERT INTO task_ready (lane, rank, id) SELECT lane, rank, id FROM tasks ORDER BY 1, 2, 3",
    "INSERT INTO task_count_changes VALUES ({count}, 1, '{owner}', 'default', '{type}')",
    "VACUUM ANALYZE",
)


def fill_sqlite(file: Path, count: int, now: int) -> None:
    """A table that was opened once, and is closed."""
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_SQLITE_LANE, (TYPE, OWNER, count))
    connection.execute(_SQLITE_TASKS, (count, _begin(now), now, _ARGS))
    connection.execute("INSERT OR IGNORE INTO queues (name) VALUES ('default'); COMMIT")
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close(True)


def fill_postgres(postgres: Postgres, url: str, count: int, now: int) -> None:
    """A database whose tables are there, and empty."""
    for statement in _POSTGRES:
        made = statement.format(
            begin=_begin(now), now=now, type=TYPE, owner=OWNER, args=_ARGS.decode(), count=count
        )
        postgres.sql(url, made)


def _begin(now: int) -> str:
    """The first half of ids, in hexadecimal; the second one counts."""
    return uuid7(now).to_bytes(16).hex()[:16]
