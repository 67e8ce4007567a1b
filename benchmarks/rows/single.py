"""Single-event POSTs, acknowledged when durable, beside apps that store nothing."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.context import Bench, Round, middle
from benchmarks.figure import Figure, Target, TimesAtLeast, TimesAtMost
from benchmarks.load.job import Job
from benchmarks.servers import Reference, Server

ROW = "single"
_WARM_SECONDS = 0.4
_HEADRACE = {"headrace": "drain on", "headrace, drain off": "drain off"}
_RAW, _FASTAPI = "raw ASGI app", "FastAPI route"

Rounds = dict[str, list[Round]]


def measure(bench: Bench) -> list[Figure]:
    rounds = _rounds(bench)
    figures: list[Figure] = []
    for name, mode in _HEADRACE.items():
        figures += [
            _rate(rounds, name, mode, _RAW, TimesAtLeast(0.5)),
            _rate(rounds, name, mode, _FASTAPI, TimesAtLeast(2.5)),
            _latency(rounds, name, mode, "p50", None),
            _latency(rounds, name, mode, "p99", TimesAtMost(5)),
            _cost(rounds, name, mode),
        ]
    return figures


def _rounds(bench: Bench) -> Rounds:
    """All servers are up all the time and idle but for their turns, so that noise of the machine hits all alike."""
    with ExitStack() as stack:
        servers: dict[str, Server] = {
            "headrace": stack.enter_context(bench.headrace("single")),
            _RAW: stack.enter_context(Reference("raw", bench.cores)),
            "headrace, drain off": stack.enter_context(bench.headrace("single-off", drain=False)),
            _FASTAPI: stack.enter_context(Reference("fastapi", bench.cores)),
        }
        for server in servers.values():
            bench.measured(server, _job(server, _WARM_SECONDS))
        rounds: Rounds = {name: [] for name in servers}
        for number in range(bench.scale.rounds):
            for name, server in servers.items():
                rounds[name].append(bench.measured(server, _job(server, bench.scale.round_seconds)))
            rates = ", ".join(f"{name} {done[-1].result.per_second:,.0f}/s" for name, done in rounds.items())
            bench.tell(f"single {number + 1}/{bench.scale.rounds}: {rates}")
    return rounds


def _job(server: Server, seconds: float) -> Job:
    return Job(kind="single", port=server.port, key=server.key, seconds=seconds)


def _rate(rounds: Rounds, name: str, mode: str, against: str, target: Target) -> Figure:
    ours, theirs = rounds[name], rounds[against]
    return Figure(
        row=ROW,
        name=f"single POST, durable, 64 connections, {mode}",
        value=middle(ours, lambda done: done.result.per_second),
        unit="requests/s",
        against=against,
        reference=middle(theirs, lambda done: done.result.per_second),
        target=target,
        orientation="VictoriaLogs, acked from memory: 12,000/s",
        detail={f"round_{number}": done.result.per_second for number, done in enumerate(ours, 1)},
    )


def _latency(rounds: Rounds, name: str, mode: str, share: str, target: Target | None) -> Figure:
    return Figure(
        row=ROW,
        name=f"its {share}, {mode}",
        value=middle(rounds[name], lambda done: _share(done, share)),
        unit="ms",
        against=_RAW,
        reference=middle(rounds[_RAW], lambda done: _share(done, share)),
        target=target,
    )


def _share(done: Round, share: str) -> float:
    return done.result.p50 if share == "p50" else done.result.p99


def _cost(rounds: Rounds, name: str, mode: str) -> Figure:
    """With the drain on, that of storing as well."""
    return Figure(
        row=ROW,
        name=f"its CPU, {mode}",
        value=middle(rounds[name], _per_million),
        unit="CPU-s / million",
        against=_RAW,
        reference=middle(rounds[_RAW], _per_million),
        detail={"fastapi": middle(rounds[_FASTAPI], _per_million)},
    )


def _per_million(done: Round) -> float:
    return 1_000_000 / done.events_per_cpu_second
