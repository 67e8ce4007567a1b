"""How soon a task is begun and its result readable, when there is nothing else to do: an open loop, 20 a second."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import msgspec

from benchmarks.context import Bench
from benchmarks.figure import AtMost, Figure
from benchmarks.http import Client
from benchmarks.percentile import Latency
from benchmarks.postgres import OnPostgres, Postgres
from benchmarks.process import on_core
from benchmarks.servers import Headrace
from benchmarks.task_servers import ADD
from headrace.kit.times import parse_time

ROW = "latency"
_PER_SECOND = 20
_WARM = 20


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds. `started`: from its creation to its start, by the server's own clock; `readable`: from the moment at
    which it was to be sent until the client had its result."""

    started: list[float] = field(default_factory=list)
    readable: list[float] = field(default_factory=list)


def measure(bench: Bench, postgres: Postgres | None, profiles: tuple[str, ...]) -> list[Figure]:
    figures: list[Figure] = []
    if "embedded" in profiles:
        with bench.headrace("latency") as server:
            figures += _figures(bench, server, "embedded")
    if postgres is not None:
        with OnPostgres(postgres, bench.directory / "pg-latency", bench.cores) as server:
            figures += _figures(bench, server, "PostgreSQL")
        postgres.drop_database(server.url)
    return figures


def _figures(bench: Bench, server: Headrace, profile: str) -> list[Figure]:
    with on_core(bench.cores.load), server.client() as client:
        _ask(client, _WARM)
        seen = _ask(client, int(bench.scale.watch_seconds * _PER_SECOND))
    started, readable = Latency.of(seen.started), Latency.of(seen.readable)
    bench.tell(f"latency, {profile}: started after {started.p50:.1f} ms, p99 {started.p99:.1f} ms")
    figures = (
        ("from submission to start, idle worker, p50", started.p50, AtMost(20)),
        ("from submission to start, idle worker, p99", started.p99, AtMost(100)),
        ("until its result is readable, p50", readable.p50, None),
        ("until its result is readable, p99", readable.p99, None),
    )
    return [Figure(ROW, f"{name}, {profile}", value, "ms", target=target) for name, value, target in figures]


def _ask(client: Client, count: int) -> Seen:
    """Whoever waits too long for one sends the next late, and measures from when it was due."""
    seen = Seen()
    began = time.perf_counter()
    for number in range(count):
        due = began + number / _PER_SECOND
        time.sleep(max(0.0, due - time.perf_counter()))
        answer = client.post("/v1/tasks", ADD.encode())
        if answer.status != 202:
            raise RuntimeError(f"a task was answered with {answer.status}: {answer.body[:300]!r}")
        task = client.json(f"/v1/tasks/{msgspec.json.decode(answer.body)['id']}", wait="10s")
        seen.readable.append(time.perf_counter() - due)
        if task.get("result") != 15:
            raise RuntimeError(f"a task has not ended well: {task}")
        seen.started.append((parse_time(task["started_at"]) - parse_time(task["created_at"])) / 1e6)
    return seen
