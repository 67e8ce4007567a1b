"""The same questions while events come in at half the rate at which they could."""

from __future__ import annotations

import time

from benchmarks.context import BATCH_CONNECTIONS, Bench
from benchmarks.day import Day
from benchmarks.figure import Figure, TimesAtMost
from benchmarks.http import Client
from benchmarks.load.job import Job
from benchmarks.percentile import Latency
from benchmarks.rows.queries import Asked, ask, sizes

ROW = "mixed"
_LEAD_SECONDS = 1.0  # until the drain and the queue have found their pace


def measure(bench: Bench, day: Day, alone: list[Asked]) -> list[Figure]:
    server = day.server
    rate = day.events_per_second / 2
    job = Job(kind="lines", port=server.port, key=server.key, connections=BATCH_CONNECTIONS, rate=rate)
    bench.load.begin(job)
    time.sleep(_LEAD_SECONDS)
    with server.client() as client:
        figures = [_figure(bench, client, asked) for asked in alone]
    waiting = server.depth()
    result = bench.load.finish()
    server.settle()
    bench.tell(f"mixed: {result.per_second:,.0f} of {rate:,.0f} events/s came in; {waiting:,} waited at the end")
    return figures


def _figure(bench: Bench, client: Client, alone: Asked) -> Figure:
    sizes(client, alone.query)
    during = Latency.of(ask(client, alone.query, bench.scale.query_seconds))
    return Figure(
        row=ROW,
        name=f"{alone.query.name}, p50 during ingest",
        value=during.p50,
        unit="ms",
        against="without ingest",
        reference=Latency.of(alone.over_http).p50,
        target=TimesAtMost(3),
        detail={"p99_ms": during.p99, "asked": during.count},
    )
