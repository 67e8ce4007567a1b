"""Single-event POSTs on PostgreSQL beside the embedded profile: CPU of the API processes alone, and time to the ack."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.context import Bench, Round, middle
from benchmarks.figure import Figure, TimesAtLeast
from benchmarks.load.job import Job
from benchmarks.postgres import OnPostgres, Postgres
from benchmarks.servers import Headrace

ROW = "single"
_WARM_SECONDS = 0.4
_EMBEDDED, _POSTGRES = "embedded", "PostgreSQL"

Rounds = dict[tuple[str, str], list[Round]]


def measure(bench: Bench, postgres: Postgres) -> list[Figure]:
    """All servers are up all the time and idle but for their turns, so that noise of the machine hits all alike."""
    with ExitStack() as stack:
        servers: dict[tuple[str, str], Headrace] = {}
        for mode, drain in (("drain off", False), ("drain on", True)):
            name = mode.replace(" ", "-")
            directory = bench.directory / f"pg-{name}"
            servers[_EMBEDDED, mode] = stack.enter_context(bench.headrace(name, drain=drain))
            servers[_POSTGRES, mode] = stack.enter_context(OnPostgres(postgres, directory, bench.cores, drain=drain))
        rounds = _rounds(bench, servers)
    return [figure for mode in ("drain off", "drain on") for figure in _figures(rounds, mode)]


def _rounds(bench: Bench, servers: dict[tuple[str, str], Headrace]) -> Rounds:
    rounds: Rounds = {name: [] for name in servers}
    for number in range(bench.scale.rounds + 1):
        for name, server in servers.items():
            seconds = bench.scale.round_seconds if number else _WARM_SECONDS
            done = bench.measured(server, Job(kind="single", port=server.port, key=server.key, seconds=seconds))
            if number:  # the first warms up
                rounds[name].append(done)
                bench.tell(f"single, {', '.join(name)}: {done.events_per_cpu_second:,.0f} events/CPU-s of the API")
    return rounds


def _figures(rounds: Rounds, mode: str) -> list[Figure]:
    ours, theirs = rounds[_POSTGRES, mode], rounds[_EMBEDDED, mode]
    name = f"single POST, durable, 64 connections, {mode}"
    return [
        Figure(
            ROW, name, middle(ours, _per_cpu_second), "events / CPU-s of the API", _EMBEDDED,
            middle(theirs, _per_cpu_second), TimesAtLeast(0.8),
            detail={"requests_per_second": middle(ours, lambda done: done.result.per_second)},
        ),
        *(
            Figure(
                ROW, f"its {share}, {mode}", middle(ours, lambda done, share=share: getattr(done.result, share)), "ms",
                _EMBEDDED, middle(theirs, lambda done, share=share: getattr(done.result, share)),
            )
            for share in ("p50", "p99")
        ),
    ]  # fmt: skip


def _per_cpu_second(done: Round) -> float:
    return done.events_per_cpu_second
