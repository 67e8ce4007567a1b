"""All groups of figures, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack

from benchmarks.context import Bench
from benchmarks.figure import Figure
from benchmarks.postgres import Postgres
from benchmarks.rows import (
    access,
    batch,
    driver,
    loaded,
    pg_drain,
    pg_loaded,
    pg_processes,
    pg_single,
    pg_start,
    single,
    start,
    stored,
    task_claim,
    task_idle,
    task_latency,
    task_submit,
    task_throughput,
)

_ALONE: dict[str, Callable[[Bench], list[Figure]]] = {
    driver.ROW: driver.measure,
    single.ROW: single.measure,
    access.ROW: access.measure,
    batch.ROW: batch.measure,
    stored.ROW: stored.measure,
    start.ROW: start.measure,
}
_ON_POSTGRES: dict[str, Callable[[Bench, Postgres], list[Figure]]] = {
    pg_single.ROW: pg_single.measure,
    pg_processes.ROW: pg_processes.measure,
    pg_drain.ROW: pg_drain.measure,
    pg_start.ROW: pg_start.measure,
}
_OF_TASKS: dict[str, Callable[[Bench, Postgres | None, tuple[str, ...]], list[Figure]]] = {
    task_throughput.ROW: task_throughput.measure,
    task_submit.ROW: task_submit.measure,
    task_latency.ROW: task_latency.measure,
    task_claim.ROW: task_claim.measure,
    task_idle.ROW: task_idle.measure,
}
PROFILES = {
    "embedded": (*_ALONE, *loaded.ROWS),
    "postgres": (driver.ROW, *_ON_POSTGRES, *pg_loaded.ROWS),
}
"""The rows of each profile's table."""
TASKS = tuple(_OF_TASKS)
"""Those of the table of tasks, which has both profiles."""


def run(bench: Bench, profile: str, wanted: Collection[str]) -> list[Figure]:
    return _embedded(bench, wanted) if profile == "embedded" else _on_postgres(bench, wanted)


def run_tasks(bench: Bench, profiles: tuple[str, ...], wanted: Collection[str]) -> list[Figure]:
    figures: list[Figure] = []
    with ExitStack() as stack:
        postgres = stack.enter_context(Postgres(bench.cores)) if "postgres" in profiles else None
        for row, measure in _OF_TASKS.items():
            if row in wanted:
                figures += measure(bench, postgres, profiles)
    return figures


def _on_postgres(bench: Bench, wanted: Collection[str]) -> list[Figure]:
    figures = driver.measure(bench) if driver.ROW in wanted else []
    with Postgres(bench.cores) as postgres:
        for row, measure in _ON_POSTGRES.items():
            if row in wanted:
                figures += measure(bench, postgres)
        if set(wanted) & set(pg_loaded.ROWS):
            figures += pg_loaded.measure(bench, postgres, wanted)
    return figures


def _embedded(bench: Bench, wanted: Collection[str]) -> list[Figure]:
    figures: list[Figure] = []
    for row, measure in _ALONE.items():
        if row in wanted:
            figures += measure(bench)
    if set(wanted) & set(loaded.ROWS):
        figures += loaded.measure(bench, wanted)
    return figures
