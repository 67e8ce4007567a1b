"""Two API processes on one database, beside one: what an event costs them."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.context import BATCH_CONNECTIONS, Bench, Round, middle
from benchmarks.figure import Figure, TimesAtMost
from benchmarks.load.job import Job
from benchmarks.postgres import OnPostgres, Postgres, wait_quiet

ROW = "processes"
_LOADS = {"single POSTs": "single", "NDJSON × 1,000": "lines"}


def measure(bench: Bench, postgres: Postgres) -> list[Figure]:
    """The drain is off, since it takes turns: its own row has it."""
    rounds: dict[tuple[str, int], list[Round]] = {}
    with ExitStack() as stack:
        servers = {
            count: stack.enter_context(
                OnPostgres(postgres, bench.directory / f"pg-{count}", bench.cores, drain=False, processes=count)
            )
            for count in (1, 2)
        }
        for server in servers.values():
            wait_quiet(server.cpu_seconds)
        for number in range(bench.scale.rounds + 1):
            for name, kind in _LOADS.items():
                for count, server in servers.items():
                    done = bench.measured(server, _job(bench, server, kind, count))
                    if number:  # the first warms up
                        rounds.setdefault((name, count), []).append(done)
                        bench.tell(f"processes, {name}, {count}: {_cost(done):.1f} µs of CPU an event")
    return [_figure(name, rounds[name, 1], rounds[name, 2]) for name in _LOADS]


def _job(bench: Bench, server: OnPostgres, kind: str, processes: int) -> Job:
    """As many connections for each process, since its group commit lives on them."""
    connections = processes * (64 if kind == "single" else BATCH_CONNECTIONS)
    return Job(
        kind=kind, port=server.port, key=server.key, connections=connections, seconds=bench.scale.round_seconds  # type: ignore[arg-type]  # one of its kinds
    )  # fmt: skip


def _figure(name: str, one: list[Round], two: list[Round]) -> Figure:
    return Figure(
        ROW, f"{name}, acked, two API processes", middle(two, _cost), "µs of CPU an event", "one", middle(one, _cost),
        TimesAtMost(1.15),
    )  # fmt: skip


def _cost(done: Round) -> float:
    return 1e6 / done.events_per_cpu_second
