"""Figures on days of events in PostgreSQL: growth, queries, size. The days are loaded once for all of them."""

from __future__ import annotations

from collections.abc import Collection
from math import ceil

from benchmarks.context import Bench, Round
from benchmarks.day import Day, Leg, legs_up_to
from benchmarks.figure import Figure
from benchmarks.postgres import OnPostgres, Postgres
from benchmarks.rows import growth, pg_queries, size

ROWS = (growth.ROW, pg_queries.ROW, size.ROW)
_MIB = 2**20


def measure(bench: Bench, postgres: Postgres, wanted: Collection[str]) -> list[Figure]:
    with OnPostgres(postgres, bench.directory / "pg-day", bench.cores) as server:
        days = ceil(bench.scale.events / bench.scale.day_events)
        day = Day(bench, server, postgres.cpu_seconds, days=days)
        figures = _loading(bench, day, postgres)
        day.check()
        found = pg_queries.measure(bench, day, server, postgres) if {pg_queries.ROW, size.ROW} & set(wanted) else []
        figures += found if pg_queries.ROW in wanted else []
        figures += _sizes(day, server) if size.ROW in wanted else []
    return [figure for figure in figures if figure.row in wanted]


def _loading(bench: Bench, day: Day, postgres: Postgres) -> list[Figure]:
    windows: list[growth.Window] = []
    first = Leg(0, 0, measured=False)
    for leg in legs_up_to(bench.scale.events):
        if leg.end > leg.begin:
            done = day.fill(leg)
            if leg.measured:
                fresh = _fresh(bench, postgres, day.days, first, leg.end) if first.end else None
                first = first if first.end else leg
                windows.append(growth.Window(leg.end, done, fresh))
    return growth.figures(windows, most=1.25)


def _fresh(bench: Bench, postgres: Postgres, days: int, first: Leg, stored: int) -> Round:
    """The cost of the leg `first` in a database of its own, beside one that has `stored` events."""
    bench.tell(f"the first of them again, in an empty database, for comparison with {stored:,}")
    with OnPostgres(postgres, bench.directory / f"pg-fresh-{stored}", bench.cores) as server:
        day = Day(bench, server, postgres.cpu_seconds, days=days)
        if first.begin:
            day.fill(Leg(0, first.begin, measured=False))
        return day.fill(first)


def _sizes(day: Day, server: OnPostgres) -> list[Figure]:
    memory = server.running.resident_bytes() / _MIB
    disk = server.disk_bytes() / day.stored
    server.stop()
    return [
        Figure(size.ROW, f"memory (RSS) with {size.events(day)} events, after the queries", memory, "MiB"),
        Figure(size.ROW, "disk an event, in the database, indexes included", disk, "bytes"),
        size.started(day, server.start()),
    ]
