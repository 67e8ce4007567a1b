"""Each list of tasks on PostgreSQL is served by an index, and reads no more days than its time needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.postgres._task_find import find
from headrace.adapters.postgres._task_partitions import Partitions
from headrace.adapters.postgres.tasks import PostgresTasks
from headrace.kit.times import DAY, SECOND
from headrace.model.task import FINISHED, Status, TaskFilter
from tests.support.postgres import Cluster

NOW = 1_800_003_600 * SECOND
LIVE = 60_000
PAST = 60_000
DAYS = 4

_TASKS = f"""
INSERT INTO tasks (id, created_at, run_at, max_attempts, priority, state, type, owner, queue, args, search)
SELECT (lpad(to_hex(ms), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid, ms * 1000,
    CASE WHEN n % 100 = 0 THEN {NOW} + n * 1000000::bigint END, 5, 5, (n % 100 <> 0)::int, 'type' || n % 40,
    'owner' || n % 500, CASE WHEN n % 300 = 1 THEN 'mail' ELSE 'default' END, '{{}}',
    'type' || n % 40 || E'\\x1f{{"a":"' || hash || E'"}}\\x1f'
FROM (
    SELECT n, {NOW // 1000} - {LIVE} + n::bigint AS ms, md5(n::text) AS hash FROM generate_series(1, {LIVE}) AS n
) AS m
"""
_HISTORY = f"""
INSERT INTO task_history (id, created_at, finished_at, lease, attempt, max_attempts, priority, status, callback_due,
    type, owner, queue, args, search)
SELECT (lpad(to_hex(ms), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid, ms * 1000,
    ms * 1000, n, 1, 5, 5, CASE WHEN n % 200 = 0 THEN 4 + n / 200 % 3 ELSE 3 END, n % 5000 = 0, 'type' || n % 40,
    'owner' || n % 500,
    CASE WHEN n % 300 = 1 THEN 'mail' ELSE 'default' END, '{{}}',
    'type' || n % 40 || E'\\x1f{{"a":"' || hash || E'"}}\\x1f15\\x1f\\x1f'
FROM (
    SELECT n, {NOW // 1000} - {DAYS} * 86400000::bigint + n * {DAYS} * 86400000::bigint / {PAST} AS ms,
        md5(n::text) AS hash
    FROM generate_series(1, {PAST}) AS n
) AS m
"""
_RUNNING = f"""
INSERT INTO task_leases (id, lease, leased_until, started_at, attempt, queue, holder)
SELECT id, 1, {NOW}, {NOW}, 1, queue, 'here' FROM tasks WHERE state = 1 ORDER BY id LIMIT 20
"""
HASH = "e10adc3949ba"


@pytest.fixture(scope="module")
def filled(postgres: Cluster) -> Iterator[str]:
    """A database with 60,000 live tasks and as many that ended on four days."""
    import asyncio

    url = postgres.create_database()

    async def make() -> None:
        tasks = await PostgresTasks.open(url, MemoryClock(NOW))
        async with tasks.database.changing(60) as connection:
            for days in range(DAYS + 1):
                await Partitions().ensure(connection, NOW - days * DAY)
        await tasks.close()

    asyncio.run(make())
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (_TASKS, _HISTORY, _RUNNING, "VACUUM ANALYZE"):
            connection.execute(statement.encode())
    yield url
    postgres.drop_database(url)


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes_of(inner)


def planned(url: str, filter: TaskFilter, before: int | None = None) -> list[dict[str, Any]]:
    statement = find(filter, 50, before, 0)
    assert statement is not None
    with psycopg.connect(url) as connection:
        row = connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement[0].encode(), statement[1]).fetchone()
    assert row is not None
    return [node for node in nodes_of(row[0][0]["Plan"]) if node.get("Actual Loops")]


def indexes(nodes: list[dict[str, Any]]) -> str:
    return " ".join(node["Index Name"] for node in nodes if "Index Name" in node)


def rows_read(nodes: list[dict[str, Any]]) -> int:
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in nodes
        if "Relation Name" in node
    )


@pytest.mark.parametrize(
    ("fields", "live", "past"),
    [
        ({}, "tasks_pkey", "_id_idx"),
        ({"owner": "owner7"}, "tasks_by_owner", "_owner_id_idx"),
        ({"types": ("type7",)}, "tasks_by_type", "_type_id_idx"),
        ({"statuses": (Status.RUNNING,)}, "task_leases|tasks_pkey", None),
        ({"statuses": (Status.SCHEDULED,)}, "tasks_scheduled", None),
        ({"statuses": (Status.QUEUED,)}, "tasks_pkey", None),
        ({"statuses": (Status.DEAD,)}, None, "_status_id_idx"),
        ({"statuses": (Status.FAILED, Status.DEAD)}, None, "_status_id_idx|_owner_status_id_idx"),
        ({"queues": ("mail",)}, "tasks_by_queue", "_queue_id_idx"),
        ({"q": (HASH,)}, "tasks_search", "_search_idx"),
        ({"q": (HASH[:7], HASH[7:])}, "tasks_search", "_search_idx"),
        ({"q": (HASH,), "owner": "owner7"}, "tasks_search|tasks_by_owner", "_search_idx|_owner_id_idx"),
        ({"q": (HASH,), "types": ("type7",)}, "tasks_search", "_search_idx"),
        ({"q": (HASH,), "statuses": (Status.SUCCEEDED,)}, None, "_search_idx"),
        ({"owner": "owner7", "types": ("type7",)}, "tasks_by_owner", "_owner_id_idx"),
        ({"owner": "owner0", "statuses": (Status.FAILED,)}, None, "_owner_status_id_idx"),
        ({"owner": "owner0", "statuses": (Status.SCHEDULED,)}, "tasks_by_owner|tasks_scheduled", None),
        ({"types": ("type0",), "statuses": (Status.DEAD,)}, None, "_status_id_idx|_type_id_idx"),
        ({"owner": "nobody"}, "tasks_by_owner", "_owner_id_idx"),
        ({"types": ("none",), "statuses": (Status.SUCCEEDED,)}, None, "_type_id_idx"),
    ],
)
def test_each_list_is_served_by_an_index(
    filled: str, fields: dict[str, Any], live: str | None, past: str | None
) -> None:
    nodes = planned(filled, TaskFilter(**fields))
    assert all(rows_read([node]) <= 100 for node in nodes if node["Node Type"] == "Seq Scan")  # leases, empty days
    for expected in filter(None, (live, past)):
        assert re.search(expected, indexes(nodes)), indexes(nodes)
    assert rows_read(nodes) < 6000


def test_a_list_reads_only_the_days_of_its_time(filled: str) -> None:
    wanted = TaskFilter(statuses=tuple(FINISHED), since=NOW - 2 * DAY, until=NOW - 2 * DAY + 3600 * SECOND)
    tables = {node["Relation Name"] for node in planned(filled, wanted) if "Relation Name" in node}
    assert tables - {"task_history_rest"} == {"task_history_y2027m01d13"}


def test_the_newest_are_found_without_reading_older_days(filled: str) -> None:
    assert rows_read(planned(filled, TaskFilter(statuses=tuple(FINISHED)))) <= 60
