"""Each index of the events on PostgreSQL serves its query, and no query reads more days than its time needs."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from headrace.adapters.postgres import reads
from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.functions import FUNCTIONS
from headrace.adapters.postgres.schema import EVENTS
from headrace.kit.ids import parse_id
from headrace.kit.times import DAY, HOUR, SECOND
from headrace.model.query import (
    EVERYTHING,
    FACET_FIELDS,
    ActionMatch,
    AttributeMatch,
    EventFilter,
    Position,
    Search,
    Word,
)
from tests.support.postgres import Cluster

START = 1_794_700_800 * SECOND  # 2026-11-15T00:00:00Z
DAYS = 8
ROWS = 200_000
NOON = START + DAYS * DAY - 12 * HOUR
"""Of the last day."""

_EVENTS = f"""
INSERT INTO events
SELECT n, 1 + (n % 10 = 0)::int,
    (lpad(to_hex(ms), 12, '0') || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid,
    to_timestamp(ms / 1000.0), to_timestamp(ms / 1000.0), n % 6, 's-' || n % 7, kind, 'u-' || n % 5000, 'user', NULL,
    NULL, NULL, NULL, NULL, 'message ' || hash, attributes, hash, NULL,
    'message ' || hash || E'\\x1ft' || n % 50 || E'\\x1f' || substr(hash, 1, 8) || E'\\x1f', true
FROM (
    SELECT n, {START // 1_000} + n::bigint * {DAYS * DAY // 1_000} / {ROWS} AS ms, md5(n::text) AS hash,
        CASE WHEN n % 2000 = 0 THEN 'rare.kind' ELSE 'usual.kind' || n % 9 END AS kind,
        format('{{"tenant": "t%s", "request": {{"id": "%s"}}}}', n % 50, substr(md5(n::text), 1, 8)) AS attributes
    FROM generate_series(0, {ROWS - 1}) AS n
) AS made
"""
_COUNTS = """
INSERT INTO event_days SELECT bucket_id, (time AT TIME ZONE 'UTC')::date, count(*), min(time), max(time) FROM events
GROUP BY 1, 2;
UPDATE event_position SET last_seq = (SELECT max(seq) FROM events);
INSERT INTO event_batches SELECT max(seq), min(seq), now(), min(time), max(time), '{1,2}', '{}' FROM events
GROUP BY seq / 1000;
"""
_INDEXES = """
SELECT child.relname, pg_get_indexdef(inhparent) FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE child.relkind IN ('i', 'I')
"""


@pytest.fixture(scope="module")
def filled(postgres: Cluster) -> Iterator[str]:
    """A database with 25,000 events on each of eight days. Indexes come last: they are made faster than they grow."""
    url = postgres.create_database()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (*FUNCTIONS, EVENTS[0]):
            connection.execute(statement.encode())
        for day in range(DAYS):
            bounds = [f"to_timestamp({(START + at * DAY) // SECOND})" for at in (day, day + 1)]
            within = f"FOR VALUES FROM ({bounds[0]}) TO ({bounds[1]})"
            connection.execute(f"CREATE TABLE events_y2026m11d{15 + day} PARTITION OF events {within}".encode())
        connection.execute(_EVENTS.encode())
        for statement in EVENTS[1:]:
            connection.execute(statement.encode())
        connection.execute(_COUNTS)
        connection.execute("VACUUM ANALYZE")
    yield url
    postgres.drop_database(url)


@dataclass(frozen=True)
class Plan:
    """What a read touches: the indexes by their definition, the partitions; and the kinds of steps."""

    indexes: frozenset[str]
    days: frozenset[int]
    kinds: frozenset[str]


class Explained(psycopg.AsyncCursor[Any]):
    """Notes the plan of each statement on events before it runs."""

    plans: list[dict[str, Any]]

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Explained:
        if isinstance(query, bytes) and b" FROM events WHERE" in query:
            plain = psycopg.AsyncCursor(self.connection)
            await plain.execute(b"EXPLAIN (FORMAT JSON) " + query, params)
            row = await plain.fetchone()
            assert row is not None
            self.plans.append(row[0][0]["Plan"])
        return await super().execute(query, params, **options)


async def planned(url: str, work: Callable[[Connection], Awaitable[object]]) -> Plan:
    """The plans of all that `work` asks of the events."""
    Explained.plans = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, cursor_factory=Explained) as connection:
        await work(connection)
        connection.cursor_factory = psycopg.AsyncCursor
        parents = dict(await (await connection.execute(_INDEXES)).fetchall())
    nodes = [node for plan in Explained.plans for node in _nodes(plan)]
    indexes = {parents[node["Index Name"]] for node in nodes if "Index Name" in node}
    tables = {node["Relation Name"] for node in nodes if "Relation Name" in node}
    assert "events_rest" not in tables
    days = frozenset(int(name[-2:]) - 15 for name in tables)
    return Plan(frozenset(indexes), days, frozenset(node["Node Type"] for node in nodes))


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


def of(**parts: Any) -> EventFilter:
    return EventFilter(**parts)


def search(wanted: EventFilter, **options: Any) -> Callable[[Connection], Awaitable[object]]:
    return lambda connection: reads.search(connection, Search(1, wanted, **options))


HASH = "e10adc3949ba59abbe56e057f20f883e"  # md5 of 123456, which is in bucket 1
ID = parse_id("019a9d0c-0000-4000-8000-000000000000")  # no UUIDv7: tells no day

TIME = r"btree \(bucket_id, \"time\" DESC, id DESC\)"
ACTOR = r"btree \(bucket_id, actor_id, \"time\" DESC, id DESC\)"
ACTION = r"btree \(bucket_id, action, \"time\" DESC, id DESC\)"
LONG_ACTION = r"btree \(bucket_id\) WHERE \(octet_length\(action\) > 500\)"
BY_ID = r"btree \(id\)"
TRACE = r"btree \(trace_id\)"
SEQ = r"brin \(seq\)"
WORDS = r"gin \(search gin_trgm_ops\)"
JSON = r"gin \([^\0]*jsonb_path_ops\)"
ODD_JSON = r"btree \(bucket_id\) WHERE \(NOT indexable\)"

SERVED = {
    "the newest": (search(EVERYTHING), [TIME]),
    "the oldest": (search(EVERYTHING, order="asc"), [TIME]),
    "the next page": (search(EVERYTHING, after=Position(NOON, 1 << 100)), [TIME]),
    "an actor": (search(of(actors=("u-77",))), [ACTOR]),
    "two actors": (search(of(actors=("u-77", "u-79"))), [ACTOR]),
    "an action": (search(of(actions=(ActionMatch("rare.kind"),))), [ACTION]),
    "actions": (search(of(actions=(ActionMatch("rare.", prefix=True),))), [ACTION, LONG_ACTION]),
    "a trace": (search(of(trace_ids=(HASH,))), [TRACE]),
    "a word": (search(of(texts=((Word(HASH[3:20]),),))), [WORDS]),
    "a word and not another": (search(of(texts=((Word(HASH[3:20]), Word("xyz", negated=True)),))), [WORDS]),
    "an attribute": (search(of(attributes=(AttributeMatch("request.id", (HASH[:8],)),))), [JSON, ODD_JSON]),
    "two attributes": (
        search(of(attributes=(AttributeMatch("request.id", (HASH[:8],)), AttributeMatch("tenant", ("t6", "t7"))))),
        [JSON, ODD_JSON],
    ),
    "an attribute in a view": (
        search(of(within=of(attributes=(AttributeMatch("request.id", (HASH[:8],)),)))), [JSON, ODD_JSON],
    ),
    "an id": (lambda connection: reads.get(connection, 1, ID, EVERYTHING), [BY_ID]),
    "what came last": (lambda connection: reads.after(connection, 1, EVERYTHING, ROWS - 500, 100), [SEQ]),
    "the times of an actor": (lambda connection: reads.time_range(connection, 1, of(actors=("u-77",))), [ACTOR]),
    "the bars of an hour": (
        lambda connection: reads.histogram(connection, 1, of(since=NOON, until=NOON + HOUR), HOUR // 60, None), [TIME],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVED)
async def test_the_index_meant_for_a_query_serves_it(filled: str, name: str) -> None:
    work, patterns = SERVED[name]
    plan = await planned(filled, work)
    assert [pattern for pattern in patterns if not any(re.search(pattern, index) for index in plan.indexes)] == []
    assert "Seq Scan" not in plan.kinds


async def test_each_index_is_shown_to_serve_a_query(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        sql = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'events'::regclass"
        indexes = [index for (index,) in connection.execute(sql).fetchall()]
    patterns = {pattern for _, several in SERVED.values() for pattern in several}
    assert [index for index in indexes if not any(re.search(pattern, index) for pattern in patterns)] == []


LAST_HOUR = of(since=NOON, until=NOON + HOUR)
BEYOND = of(since=START - 500 * DAY, until=START + DAY)

TOUCHED = {
    "the newest": (search(EVERYTHING), {7}),
    "the newest of two days": (search(EVERYTHING, limit=20_000), {7}),
    "the newest after some days": (search(EVERYTHING, offset=70_000), {4}),
    "the oldest": (search(EVERYTHING, order="asc"), {0}),
    "the page after a position": (search(EVERYTHING, after=Position(START + 3 * DAY + HOUR, 5), limit=5), {3}),
    "the page before a position": (
        search(EVERYTHING, after=Position(START + 3 * DAY + HOUR, 5), limit=5, order="asc"), {3},
    ),
    "what matches on the first days": (search(of(services=("s-3",))), {3, 4, 5, 6, 7}),
    "what matches nowhere": (search(of(services=("none",))), set(range(8))),
    "an hour": (search(LAST_HOUR), {7}),
    "a day and what was never stored": (search(BEYOND), {0}),
    "an id of a day": (
        lambda connection: reads.get(
            connection, 1, parse_id("019a9d0c-0000-7000-8000-000000000000"), of(until=START + DAY)
        ),
        {0},
    ),
    "an hour of bars": (lambda connection: reads.histogram(connection, 1, LAST_HOUR, SECOND, "level"), {7}),
    "days of bars": (lambda connection: reads.histogram(connection, 1, EVERYTHING, DAY, None), set()),
    "an hour of facets": (lambda connection: reads.facets(connection, 1, LAST_HOUR, FACET_FIELDS, 5), {7}),
    "facets of a day": (lambda connection: reads.facets(connection, 1, BEYOND, FACET_FIELDS, 5), {0}),
    "times": (lambda connection: reads.time_range(connection, 1, EVERYTHING), set()),
    "times in an hour": (lambda connection: reads.time_range(connection, 1, LAST_HOUR), {7}),
    "what came last": (lambda connection: reads.after(connection, 1, EVERYTHING, ROWS - 500, 100), {7}),
    "what came in the middle": (lambda connection: reads.after(connection, 1, EVERYTHING, ROWS // 2 + 9, 100), {4}),
    "how much there is": (lambda connection: reads.bucket_stats(connection, 1), set()),
    "an empty bucket": (lambda connection: reads.histogram(connection, 9, EVERYTHING, HOUR, "level"), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", TOUCHED)
async def test_a_query_reads_no_more_days_than_it_needs(filled: str, name: str) -> None:
    work, days = TOUCHED[name]
    assert (await planned(filled, work)).days == days
