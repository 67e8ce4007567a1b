"""NDJSON of 1,000 events a request, acknowledged when durable; draining is left to another process."""

from __future__ import annotations

from benchmarks.context import BATCH_CONNECTIONS, Bench, Round, middle
from benchmarks.figure import AtLeast, Figure
from benchmarks.load.job import Job

ROW = "batch"
_PATH = "/v1/buckets/default/events"
_VARIANTS = {"ids in the answer": _PATH, "ids=false": f"{_PATH}?ids=false"}


def measure(bench: Bench) -> list[Figure]:
    rounds: dict[str, list[Round]] = {variant: [] for variant in _VARIANTS}
    with bench.headrace("batch", drain=False) as server:
        for number in range(bench.scale.rounds + 1):
            for variant, path in _VARIANTS.items():
                job = Job(
                    kind="lines",
                    port=server.port,
                    key=server.key,
                    path=path,
                    connections=BATCH_CONNECTIONS,
                    seconds=bench.scale.round_seconds,
                )
                done = bench.measured(server, job)
                if number:  # the first warms up
                    rounds[variant].append(done)
                    bench.tell(f"batch, {variant}: {done.events_per_cpu_second:,.0f} events/CPU-s")
    return [_figure(variant, done) for variant, done in rounds.items()]


def _figure(variant: str, rounds: list[Round]) -> Figure:
    return Figure(
        row=ROW,
        name=f"NDJSON × 1,000, acked, {variant}",
        value=middle(rounds, lambda done: done.events_per_cpu_second),
        unit="events / CPU-s",
        target=AtLeast(400_000),
        orientation="VictoriaLogs: 184,000/s",
        detail={
            "events_per_second": middle(rounds, lambda done: done.result.per_second),
            "p50_ms": middle(rounds, lambda done: done.result.p50),
            "p99_ms": middle(rounds, lambda done: done.result.p99),
        },
    )
