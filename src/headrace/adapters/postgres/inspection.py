"""Looks at a PostgreSQL server as `headrace doctor` does: once, on a connection of its own, changing nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from headrace.adapters.postgres._queue_tables import LAYOUT as QUEUE
from headrace.adapters.postgres._task_tables import LAYOUT as TASKS
from headrace.adapters.postgres.database import Connection, conninfo
from headrace.adapters.postgres.guarantee import SETTINGS, Durability
from headrace.adapters.postgres.layout import Layout
from headrace.adapters.postgres.limiter import LIMITER
from headrace.adapters.postgres.schema import LAYOUT as EVENTS
from headrace.errors import Unavailable
from headrace.kit.first_line import first_line

LAYOUTS: Mapping[str, Sequence[Layout]] = {
    "control": (LIMITER,), "events": (EVENTS,), "queue": (QUEUE,), "tasks": (TASKS,),
}  # fmt: skip
"""What each part keeps in its database, beside the control data's own tables."""

_SECONDS = 5.0
_SETTINGS = (*SETTINGS, "max_connections", "superuser_reserved_connections", "server_version_num", "server_version")
_ASK_SETTINGS = "SELECT name, setting FROM pg_settings WHERE name = ANY (%s)"
_ASK = """
SELECT extract(epoch FROM clock_timestamp())::float8, pg_backend_pid(), pg_is_in_recovery(),
    extract(epoch FROM pg_postmaster_start_time())::float8 || ' ' || current_database(),
    (SELECT sum(numbackends) FROM pg_stat_database)::int,
    EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'),
    EXISTS (SELECT 1 FROM pg_available_extensions WHERE name = 'pg_trgm')
        AND has_database_privilege(current_database(), 'CREATE'),
    (SELECT coalesce(array_agg(index || ' ON ' || searched), '{}') FROM (VALUES
        ('events_search_idx', 'events'), ('tasks_search', 'tasks'), ('task_history_search', 'task_history')
    ) AS wanted (index, searched) WHERE to_regclass(searched) IS NOT NULL AND to_regclass(index) IS NULL),
    to_regclass('headrace_layout') IS NOT NULL
"""
_ASK_PLACE = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn,
    coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8, 0)
"""
_ASK_LAYOUTS = "SELECT part, version FROM headrace_layout"


@dataclass(frozen=True, slots=True)
class Inspected:
    """Times in seconds. `server` tells whether two URLs lead to the same database of the same server."""

    version: int
    """Such as 150006."""
    version_name: str
    place: str
    """host:port/database, without user and password."""
    round_trip: float
    clock_ahead: float
    durability: Durability
    is_replica: bool
    is_direct: bool
    """No pooler is between."""
    server: str
    connections: int
    max_connections: int
    """For users that are no superusers."""
    has_trigrams: bool
    may_have_trigrams: bool
    unsearchable: Sequence[str]
    """Indexes for `q` that tables lack which are there, such as `events_search_idx ON events`."""
    wal: int
    """The place in the log that is written, or on a replica replayed."""
    behind: float
    """Since the newest commit that a replica has; also while nothing is written."""
    layouts: Mapping[str, int] = field(default_factory=dict)


async def inspect(url: str) -> Inspected:
    """Raises Unusable for a URL that cannot be parsed, and Unavailable with the reason."""
    parameters = conninfo(url)
    try:
        async with asyncio.timeout(_SECONDS):
            connection = await psycopg.AsyncConnection.connect(parameters, autocommit=True, prepare_threshold=None)
            async with connection:
                return await _inspect(connection)
    except TimeoutError as exc:
        raise Unavailable(f"no answer in {_SECONDS:.0f} s") from exc
    except psycopg.Error as exc:
        raise Unavailable(first_line(exc)) from exc


def is_current(layout: Layout, found: Mapping[str, int]) -> bool | None:
    """None when there are no such tables yet."""
    version = found.get(layout.part)
    return None if version is None else version == len(layout.versions)


async def _inspect(connection: Connection) -> Inspected:
    settings: dict[str, str] = dict(await (await connection.execute(_ASK_SETTINGS, (list(_SETTINGS),))).fetchall())
    began, here = time.perf_counter(), time.time()
    row = await _row(connection, _ASK)
    took = time.perf_counter() - began
    there, pid, is_replica, server, connections, has, may_have, unsearchable, has_layouts = row
    wal, behind = await _row(connection, _ASK_PLACE)
    layouts: dict[str, int] = dict(await (await connection.execute(_ASK_LAYOUTS)).fetchall()) if has_layouts else {}
    info = connection.info
    return Inspected(
        version=int(settings["server_version_num"]),
        version_name=settings["server_version"].split()[0],
        place=f"{info.host}:{info.port}/{info.dbname}",
        round_trip=took,
        clock_ahead=there - (here + took / 2),
        durability=Durability.of(settings),
        is_replica=is_replica,
        is_direct=pid == info.backend_pid,
        server=server,
        connections=connections,
        max_connections=int(settings["max_connections"]) - int(settings["superuser_reserved_connections"]),
        has_trigrams=has,
        may_have_trigrams=may_have,
        unsearchable=unsearchable,
        wal=int(wal),
        behind=float(behind),
        layouts=layouts,
    )


async def _row(connection: Connection, statement: str) -> tuple[Any, ...]:
    row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return row
