"""How much the load process can drive at all: below its limit, the figures are the servers' own."""

from __future__ import annotations

from benchmarks.context import Bench
from benchmarks.figure import AtLeast, Figure
from benchmarks.load.job import Job
from benchmarks.servers import Reference

ROW = "driver"


def measure(bench: Bench) -> list[Figure]:
    with Reference("trivial", bench.cores) as server:
        result = bench.load.run(Job(kind="single", port=server.port, key=server.key, seconds=bench.scale.round_seconds))
    bench.tell(f"driver: {result.per_second:,.0f} requests/s against a server that parses nothing")
    return [
        Figure(
            row=ROW,
            name="load process: single POSTs it can send",
            value=result.requests / result.cpu_seconds,
            unit="requests / its CPU-s",
            target=AtLeast(60_000),
            detail={"requests_per_second": result.per_second, "p50_ms": result.p50, "p99_ms": result.p99},
        )
    ]
