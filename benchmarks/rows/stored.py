"""The same batches until every event can be queried: what accepting and draining cost together."""

from __future__ import annotations

from time import perf_counter

from benchmarks.context import BATCH_CONNECTIONS, Bench, Round, middle
from benchmarks.figure import AtLeast, Figure
from benchmarks.load.job import Job

ROW = "stored"


def measure(bench: Bench) -> list[Figure]:
    rounds: list[Round] = []
    rates: list[float] = []
    with bench.headrace("stored") as server:
        for number in range(max(2, bench.scale.rounds - 1) + 1):
            job = Job(
                kind="lines",
                port=server.port,
                key=server.key,
                connections=BATCH_CONNECTIONS,
                events=bench.scale.batch_events,
            )
            began = perf_counter()
            done = bench.measured(server, job)
            if number:  # the first warms up
                rounds.append(done)
                rates.append(done.result.accepted / (perf_counter() - began))
                bench.tell(f"stored: {done.events_per_cpu_second:,.0f} events/CPU-s, {rates[-1]:,.0f} events/s")
    return [
        Figure(
            row=ROW,
            name="NDJSON × 1,000, until it can be queried",
            value=middle(rounds, lambda done: done.events_per_cpu_second),
            unit="events / CPU-s",
            target=AtLeast(150_000),
            orientation="VictoriaLogs: 184,000/s",
            detail={"events_per_second": sorted(rates)[len(rates) // 2]},
        )
    ]
