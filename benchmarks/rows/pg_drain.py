"""The drain into PostgreSQL, beside COPY by psql and INSERT by pgbench of the same rows into the same table.

"The same": an empty copy with the same partitions and indexes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg

from benchmarks.context import BATCH_CONNECTIONS, Bench
from benchmarks.figure import Figure, TimesAtLeast
from benchmarks.load.job import Job
from benchmarks.postgres import OnPostgres, Postgres, Worker, wait_quiet
from benchmarks.process import tree_cpu_seconds
from benchmarks.reference.plain_copy import empty_copy, export
from headrace.adapters.postgres.schema import COLUMNS

ROW = "drain"
_LOOK_SECONDS = 0.02
_CLAIMS = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'queue_blocks'::regclass"
_EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM queue_blocks)"
_PGBENCH_SECONDS = 5
_INSERT = "\\set at random(1, {rows})\nINSERT INTO events SELECT {columns} FROM given WHERE place = :at;\n"


@dataclass(frozen=True, slots=True)
class Took:
    rows: int
    seconds: float
    cpu_seconds: float
    """Of the server and its client."""

    @property
    def per_second(self) -> float:
        return self.rows / self.seconds

    @property
    def per_cpu_second(self) -> float:
        return self.rows / self.cpu_seconds


def measure(bench: Bench, postgres: Postgres) -> list[Figure]:
    server = OnPostgres(postgres, bench.directory / "pg-drain", bench.cores, drain=False)
    with server:
        job = Job(
            kind="lines", port=server.port, key=server.key, connections=BATCH_CONNECTIONS,
            events=bench.scale.batch_events,
        )  # fmt: skip
        accepted = bench.measured(server, job).result.accepted
    drained = _drained(bench, postgres, server, accepted)
    bench.tell(f"drain: {drained.per_second:,.0f} rows/s, {1e6 / drained.per_cpu_second:.0f} µs of CPU a row")
    file = bench.directory / "rows.bin"
    export(server.url, file)
    copied = _copied(postgres, server.url, file)
    bench.tell(f"COPY by psql: {copied.per_second:,.0f} rows/s, {1e6 / copied.per_cpu_second:.0f} µs of CPU a row")
    inserted = _inserted(bench, postgres, server.url, file)
    bench.tell(f"INSERT by pgbench: {inserted.per_second:,.0f} rows/s")
    return _figures(drained, copied, inserted)


def _figures(drained: Took, copied: Took, inserted: Took) -> list[Figure]:
    target = TimesAtLeast(0.6)
    return [
        Figure(
            ROW, "drain, all indexes", drained.per_second, "rows/s", "COPY by psql", copied.per_second, target,
            detail={"rows": drained.rows, "insert_by_pgbench": inserted.per_second},
        ),
        Figure(
            ROW, "drain, all indexes", drained.per_cpu_second, "rows / CPU-s of all", "COPY by psql",
            copied.per_cpu_second, target,
        ),
        Figure(
            ROW, "drain, all indexes", drained.per_second, "rows/s", "INSERT by pgbench, 64 clients",
            inserted.per_second,
        ),
    ]  # fmt: skip


def _drained(bench: Bench, postgres: Postgres, server: OnPostgres, rows: int) -> Took:
    """By `headrace work`, from its first claim to the last ack: its start does not count."""
    postgres.checkpoint()
    with psycopg.connect(server.url) as held_back, Worker(server, bench.cores) as worker:
        held_back.execute("LOCK TABLE queue_blocks IN ACCESS EXCLUSIVE MODE")  # nobody claims a block
        _wait(held_back, _CLAIMS)
        wait_quiet(worker.cpu_seconds)
        _wait(held_back, _CLAIMS)
        before = worker.cpu_seconds(), postgres.cpu_seconds()
        began = time.perf_counter()
        held_back.rollback()
        held_back.autocommit = True
        _wait(held_back, _EMPTY)
        seconds = time.perf_counter() - began
        cpu = worker.cpu_seconds() - before[0], postgres.cpu_seconds() - before[1]
    inside, outside = (1e6 * each / rows for each in cpu)
    bench.tell(f"drain: {inside:.0f} µs of CPU a row in the worker, {outside:.0f} in PostgreSQL")
    [(stored,)] = postgres.sql(server.url, "SELECT sum(events)::bigint FROM event_days")
    if stored < rows:
        raise RuntimeError(f"{stored:,} events are stored of {rows:,}")
    return Took(rows, seconds, sum(cpu))


def _wait(connection: psycopg.Connection[tuple[object, ...]], until: str, seconds: float = 1_800.0) -> None:
    """On one connection: a new one for each look would cost the server more than the look."""
    end = time.perf_counter() + seconds
    while connection.execute(until.encode()).fetchall() != [(True,)]:
        if time.perf_counter() > end:
            raise RuntimeError(f"not so after {seconds:g} s: {until}")
        time.sleep(_LOOK_SECONDS)


def _copied(postgres: Postgres, like: str, file: Path) -> Took:
    url, rows = empty_copy(postgres, like)
    postgres.checkpoint()
    cpu, began = postgres.cpu_seconds(), time.perf_counter()
    psql = postgres.begin("psql", url, "-c", f"\\copy events FROM '{file}' WITH (FORMAT binary)")
    client = _ended(psql)
    return Took(rows, time.perf_counter() - began, postgres.cpu_seconds() - cpu + client)


def _inserted(bench: Bench, postgres: Postgres, like: str, file: Path) -> Took:
    """One row in each transaction, as often as it goes."""
    url, rows = empty_copy(postgres, like, given=file)
    script = bench.directory / "insert.sql"
    script.write_text(_INSERT.format(rows=rows, columns=", ".join(name for name, _ in COLUMNS)))
    postgres.checkpoint()
    before, cpu, began = _stored(postgres, url), postgres.cpu_seconds(), time.perf_counter()
    pgbench = postgres.begin(
        "pgbench", "-n", "-M", "prepared", "-c", "64", "-T", str(_PGBENCH_SECONDS), "-f", str(script), url
    )
    client = _ended(pgbench)
    seconds = time.perf_counter() - began
    return Took(_stored(postgres, url) - before, seconds, postgres.cpu_seconds() - cpu + client)


def _stored(postgres: Postgres, url: str) -> int:
    [(rows,)] = postgres.sql(url, "SELECT count(*) FROM events")
    return int(rows)


def _ended(client: psutil.Popen) -> float:
    """Its CPU-seconds, as far as seen while it ran. Raises RuntimeError when it fails."""
    seconds = 0.0
    while client.poll() is None:
        try:
            seconds = tree_cpu_seconds(client)
        except psutil.NoSuchProcess:
            break
        time.sleep(_LOOK_SECONDS)
    output, _ = client.communicate()
    if client.returncode not in (0, None):
        raise RuntimeError(f"{client.args}: {output[-2_000:]}")
    return seconds
