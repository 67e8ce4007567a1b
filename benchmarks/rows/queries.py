"""Questions over HTTP, beside the same SQL in plain DuckDB over the same data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import msgspec

from benchmarks.context import Bench
from benchmarks.day import Day
from benchmarks.figure import Figure, TimesAtMost
from benchmarks.http import Client
from benchmarks.percentile import Latency
from benchmarks.questions import Query, questions
from benchmarks.reference.plain_duckdb import PlainDuckDB, Question
from headrace.config import Settings

ROW = "queries"
_THREADS = int(Settings.model_fields["store_threads"].default)
TURNS = 2


@dataclass(slots=True)
class Asked:
    """Seconds that each answer took, over HTTP and from plain DuckDB."""

    query: Query
    over_http: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)


def ask_once(bench: Bench, day: Day) -> None:
    """Every variant of every question."""
    with day.server.client() as client:
        for query in questions(day.middle):
            sizes(client, query)
    bench.tell("every question was asked once")


def compare(bench: Bench, day: Day, copy: Path) -> list[Asked]:
    """Every question, to the server and to plain DuckDB over a copy of its file, in turns so that noise hits both.

    Raises RuntimeError when the answers differ in size.
    """
    with PlainDuckDB(copy, bench.cores, _THREADS) as plain, day.server.client() as client:
        bench.tell(f"plain DuckDB has {plain.events:,} events")
        return [_compare(bench, query, client, plain) for query in questions(day.middle)]


def _compare(bench: Bench, query: Query, client: Client, plain: PlainDuckDB) -> Asked:
    seconds = bench.scale.query_seconds / TURNS
    question = Question(query.sql, [variant.parameters for variant in query.variants], seconds)
    found = sizes(client, query)

    def ask_plainly() -> list[float]:
        reply = plain.ask(question)
        if found != reply.rows:
            raise RuntimeError(f"{query.name}: {found} items over HTTP, {reply.rows} rows in plain DuckDB")
        return reply.seconds

    asked = asked_in_turns(query, lambda: ask(client, query, seconds), ask_plainly)
    ours, theirs = Latency.of(asked.over_http), Latency.of(asked.plain)
    bench.tell(f"{query.name}: {ours.p50:.2f} ms, plain DuckDB {theirs.p50:.2f} ms")
    return asked


def asked_in_turns(query: Query, ours: Callable[[], list[float]], theirs: Callable[[], list[float]]) -> Asked:
    """So that noise of the machine hits both."""
    asked = Asked(query)
    for _ in range(TURNS):
        asked.over_http += ours()
        asked.plain += theirs()
    return asked


def ask(client: Client, query: Query, seconds: float) -> list[float]:
    """How long each answer took: the variants in turn until `seconds` are over, each at least once."""
    taken: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end or len(taken) < len(query.variants):
        taken.append(client.get(query.variants[len(taken) % len(query.variants)].target).seconds)
    return taken


def sizes(client: Client, query: Query) -> list[int]:
    """How many items each variant brings; it warms up, too."""
    return [query.size(_body(client, variant.target)) for variant in query.variants]


def figures(asked: list[Asked]) -> list[Figure]:
    return [figure(each, "plain DuckDB", TimesAtMost(1.5, plus=3), each.query.orientation) for each in asked]


def figure(asked: Asked, against: str, target: TimesAtMost, orientation: str = "") -> Figure:
    """The median over HTTP, beside that of the same question `against` something plainer."""
    ours, plain = Latency.of(asked.over_http), Latency.of(asked.plain)
    return Figure(
        row=ROW,
        name=f"{asked.query.name}, p50",
        value=ours.p50,
        unit="ms",
        against=against,
        reference=plain.p50,
        target=target,
        orientation=orientation,
        detail={"p99_ms": ours.p99, "plain_p99_ms": plain.p99, "asked": ours.count},
    )


def _body(client: Client, target: str) -> dict[str, object]:
    answer = client.get(target)
    if answer.status != 200:
        raise RuntimeError(f"GET {target}: {answer.status} {answer.body[:300]!r}")
    return msgspec.json.decode(answer.body, type=dict[str, object])
