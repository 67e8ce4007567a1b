"""What the adapter of PostgreSQL asks, taken down, to ask the same in a plain session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import psycopg

from benchmarks.closing import Closing
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.system.clock import SystemClock
from headrace.kit.times import MINUTE, parse_time
from headrace.model.query import EventFilter, Search, Word


@dataclass(frozen=True, slots=True)
class Statement:
    sql: bytes
    params: Sequence[Any]

    @property
    def is_read(self) -> bool:
        """Whether it asks for events."""
        return b" FROM events " in self.sql


@dataclass(frozen=True, slots=True)
class Touched:
    """Partitions that a statement read, and those that hold anything in its time range."""

    read: int
    needed: int


def record(url: str, bucket_id: int, targets: Sequence[str]) -> list[list[Statement]]:
    """For each target of the API, the statements of its read, from BEGIN to COMMIT."""
    return asyncio.run(_record(url, bucket_id, targets))


class Session(Closing):
    """A plain connection: what is measured ends when the whole answer is there, before any row is a Python object."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True, prepare_threshold=None)

    def close(self) -> None:
        self._connection.close()

    def replay(self, statements: Sequence[Statement]) -> float:
        """Seconds that they took."""
        cursor = self._connection.cursor()
        began = perf_counter()
        for statement in statements:
            cursor.execute(statement.sql, statement.params or None)
        return perf_counter() - began

    def touched(self, statements: Sequence[Statement], bucket_id: int) -> list[Touched]:
        """By EXPLAIN (ANALYZE): a partition counts when a node of the plan on it ran."""
        self._connection.execute(b"BEGIN; SET LOCAL jit = off; SET LOCAL work_mem = '32MB'")
        found = []
        for statement in statements:
            if statement.is_read:
                [(plan,)] = self._connection.execute(
                    b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement.sql, statement.params
                ).fetchall()
                found.append(Touched(len(set(_read(plan[0]["Plan"]))), self._needed(statement, bucket_id)))
        self._connection.execute("ROLLBACK")
        return found

    def _needed(self, statement: Statement, bucket_id: int) -> int:
        times = [param for param in statement.params if isinstance(param, datetime)]
        [(days,)] = self._connection.execute(
            "SELECT count(*) FROM event_days WHERE bucket_id = %s AND oldest < %s AND newest >= %s",
            (bucket_id, max(times), min(times)),
        ).fetchall()
        return int(days)


def _read(node: dict[str, Any]) -> Iterator[str]:
    if node.get("Actual Loops") and "Relation Name" in node:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _read(child)


async def _record(url: str, bucket_id: int, targets: Sequence[str]) -> list[list[Statement]]:
    store = await PostgresEvents.open(PostgresOptions(url, migrate=False), SystemClock())
    try:
        recorded = []
        for target in targets:
            with _listening() as statements:
                await _ask(store, bucket_id, target)
            recorded.append(statements)
        return recorded
    finally:
        await store.close()


@contextmanager
def _listening() -> Iterator[list[Statement]]:
    heard: list[Statement] = []
    execute = psycopg.AsyncCursor.execute

    async def note(cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
        heard.append(Statement(query if isinstance(query, bytes) else str(query).encode(), params or ()))
        return await execute(cursor, query, params, **options)

    with patch.object(psycopg.AsyncCursor, "execute", note):
        yield heard


async def _ask(store: PostgresEvents, bucket_id: int, target: str) -> None:
    """As the API would; only what `questions` has."""
    url = urlsplit(target)
    asked = {name: values[0] for name, values in parse_qs(url.query).items()}
    wanted = EventFilter(
        since=parse_time(asked["since"]) if "since" in asked else None,
        until=parse_time(asked["until"]) if "until" in asked else None,
        services=(asked["service"],) if "service" in asked else (),
        actors=(asked["actor"],) if "actor" in asked else (),
        texts=((Word(asked["q"]),),) if "q" in asked else (),
    )
    if url.path.endswith("/facets"):
        await store.facets(bucket_id, wanted, [asked["fields"]], int(asked["limit"]))
    elif url.path.endswith("/histogram"):
        await store.histogram(bucket_id, wanted, MINUTE, "level")
    else:
        await store.search(Search(bucket_id, wanted, limit=int(asked["limit"])))
