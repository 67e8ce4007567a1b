"""Single tasks over HTTP, acknowledged when durable, beside single events on the same server. Neither is run or stored
there: what is compared is taking them. The words of the tasks for the bucket `_tasks` are taken too, and count."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.context import Bench, Round, middle
from benchmarks.figure import Figure, TimesAtLeast
from benchmarks.load.job import Job
from benchmarks.postgres import OnPostgres, Postgres
from benchmarks.servers import Headrace
from benchmarks.task_servers import ADD

ROW = "submit"
_WARM_SECONDS = 0.4
_AFTER_SECONDS = 0.5  # until what became of the last tasks is in the queue of events
_OFF = {"HEADRACE_TASKS": "off"}
_EVENTS, _TASKS = "events", "tasks"

Rounds = dict[tuple[str, str], list[Round]]


def measure(bench: Bench, postgres: Postgres | None, profiles: tuple[str, ...]) -> list[Figure]:
    with ExitStack() as stack:
        servers: dict[str, tuple[Headrace, tuple[Callable[[], float], ...]]] = {}
        if "embedded" in profiles:
            server = Headrace(bench.directory / "submit", bench.cores, drain=False, env=_OFF)
            servers["embedded"] = stack.enter_context(server), ()
        if postgres is not None:
            server = OnPostgres(postgres, bench.directory / "pg-submit", bench.cores, drain=False, env=_OFF)
            servers["PostgreSQL"] = stack.enter_context(server), (postgres.cpu_seconds,)
        rounds: Rounds = {(profile, kind): [] for profile in servers for kind in (_EVENTS, _TASKS)}
        for number in range(bench.scale.rounds + 1):
            for (profile, kind), done in rounds.items():
                server, others = servers[profile]
                one = _round(bench, server, _job(bench, server, kind, warm=not number), *others)
                if number:  # the first warms up
                    done.append(one)
                    bench.tell(f"submit, {kind}, {profile}: {one.events_per_cpu_second:,.0f}/CPU-s")
    return [_figure(rounds, profile) for profile in servers]


def _round(bench: Bench, server: Headrace, job: Job, *others: Callable[[], float]) -> Round:
    meters = (server.cpu_seconds, *others)
    before = sum(meter() for meter in meters)
    result = bench.load.run(job)
    time.sleep(_AFTER_SECONDS)
    if result.statuses.keys() - {202}:
        raise RuntimeError(f"the load was answered with {result.statuses}")
    return Round(result, sum(meter() for meter in meters) - before)


def _job(bench: Bench, server: Headrace, kind: str, *, warm: bool) -> Job:
    seconds = _WARM_SECONDS if warm else bench.scale.round_seconds
    if kind == _EVENTS:
        return Job(kind="single", port=server.port, key=server.key, seconds=seconds)
    return Job(kind="body", port=server.port, key=server.key, path="/v1/tasks", body=ADD, seconds=seconds)


def _figure(rounds: Rounds, profile: str) -> Figure:
    ours, theirs = rounds[profile, _TASKS], rounds[profile, _EVENTS]
    return Figure(
        ROW, f"submit of single tasks, durable, 64 connections, {profile}", middle(ours, _per_cpu_second),
        "tasks / CPU-s", "single events", middle(theirs, _per_cpu_second), TimesAtLeast(0.5),
        detail={
            "requests_per_second": middle(ours, lambda done: done.result.per_second),
            "p50_ms": middle(ours, lambda done: done.result.p50),
            "p99_ms": middle(ours, lambda done: done.result.p99),
        },
    )  # fmt: skip


def _per_cpu_second(done: Round) -> float:
    return done.events_per_cpu_second
