"""What a server and a worker take while there are no tasks: CPU time, and queries of the tasks' database."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.context import Bench
from benchmarks.figure import AtMost, Figure
from benchmarks.postgres import OnPostgres, Postgres, Worker, wait_quiet

ROW = "idle"
# Asked on another database, so that the question is not counted. Each of ours commits by itself.
_QUERIES = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
_LOOK_SECONDS = 30.0  # at least: several things are done once in 10 s, and servers count with a delay


@dataclass(frozen=True, slots=True)
class Idle:
    queries: float
    """A second."""
    cpu_ms: float
    """The same, of the process tree."""


def measure(bench: Bench, postgres: Postgres | None, profiles: tuple[str, ...]) -> list[Figure]:
    figures: list[Figure] = []
    if "embedded" in profiles:
        with bench.headrace("idle") as server:
            idle = _watch(bench, server.cpu_seconds, lambda: 0)
        figures.append(Figure(ROW, "idle server, its CPU, embedded", idle.cpu_ms, "ms / s"))
    return figures if postgres is None else figures + _on_postgres(bench, postgres)


def _on_postgres(bench: Bench, postgres: Postgres) -> list[Figure]:
    tasks = postgres.create_database()
    env = {"HEADRACE_TASKS_URL": tasks}

    def queries() -> int:
        return int(postgres.sql(postgres.url, _QUERIES, (tasks.rsplit("/", 1)[1],))[0][0])

    with OnPostgres(postgres, bench.directory / "pg-idle", bench.cores, env=env) as server:
        both = _watch(bench, server.cpu_seconds, queries)
        with Worker(server, bench.cores, env=env) as worker:
            server.stop()
            alone = _watch(bench, worker.cpu_seconds, queries)
    bench.tell(f"idle: {both.queries:.2f} queries/s of a server, {alone.queries:.2f} of a worker")
    return [
        Figure(ROW, "idle worker, queries of tasks, PostgreSQL", alone.queries, "/ s", target=AtMost(2)),
        Figure(ROW, "idle server that also works, queries of tasks, PostgreSQL", both.queries, "/ s", target=AtMost(2)),
        Figure(ROW, "idle worker, its CPU, PostgreSQL", alone.cpu_ms, "ms / s"),
        Figure(ROW, "idle server that also works, its CPU, PostgreSQL", both.cpu_ms, "ms / s"),
    ]


def _watch(bench: Bench, cpu_seconds: Callable[[], float], queries: Callable[[], int]) -> Idle:
    wait_quiet(cpu_seconds)
    cpu, before, began = cpu_seconds(), queries(), time.perf_counter()
    time.sleep(max(bench.scale.watch_seconds, _LOOK_SECONDS))
    took = time.perf_counter() - began
    return Idle((queries() - before) / took, 1_000 * (cpu_seconds() - cpu) / took)
