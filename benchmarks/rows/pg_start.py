"""A fresh server on an empty database: how soon it is ready, and what it takes while nothing happens."""

from __future__ import annotations

import time
from statistics import median

from benchmarks.context import Bench
from benchmarks.figure import AtMost, Figure
from benchmarks.postgres import OnPostgres, Postgres, wait_quiet

ROW = "start"
_STARTS = 3
_IDLE_SECONDS = 10.0
_TRANSACTIONS = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


def measure(bench: Bench, postgres: Postgres) -> list[Figure]:
    seconds: list[float] = []
    resident: list[int] = []
    for number in range(_STARTS):
        with OnPostgres(postgres, bench.directory / f"pg-start-{number}", bench.cores) as server:
            seconds.append(server.ready_after)
            wait_quiet(server.cpu_seconds)
            resident.append(server.running.resident_bytes())
            if number == _STARTS - 1:
                idle = _idle(postgres, server)
    bench.tell(f"start: ready after {', '.join(f'{each:.2f}' for each in seconds)} s")
    return [
        Figure(ROW, "start to ready, empty database", median(seconds), "s", target=AtMost(2)),
        Figure(ROW, "idle memory (RSS)", median(resident) / 2**20, "MiB", target=AtMost(160)),
        *idle,
    ]


def _idle(postgres: Postgres, server: OnPostgres) -> list[Figure]:
    cpu, server_cpu, began = server.cpu_seconds(), postgres.cpu_seconds(), time.perf_counter()
    before = _transactions(postgres, server)
    time.sleep(_IDLE_SECONDS)
    count = _transactions(postgres, server) - before
    took = time.perf_counter() - began
    detail = {"postgres_ms_per_second": 1_000 * (postgres.cpu_seconds() - server_cpu) / took}
    return [
        Figure(ROW, "idle CPU of the API", 1_000 * (server.cpu_seconds() - cpu) / took, "ms / s", detail=detail),
        Figure(ROW, "idle transactions", count / took, "/ s", target=AtMost(10)),
    ]


def _transactions(postgres: Postgres, server: OnPostgres) -> int:
    return int(postgres.sql(server.url, _TRANSACTIONS)[0][0])
