"""`python -m benchmarks.load POOL SEED`: works off the jobs on its standard input until that ends."""

from __future__ import annotations

import gc
import sys
from time import process_time

import msgspec

from benchmarks.load.bodies import BodySource
from benchmarks.load.engine import Engine, Source
from benchmarks.load.job import Job, Result
from benchmarks.load.sources import LinesSource, SingleSource
from benchmarks.traffic import delays, tails


def main() -> None:
    pool, seed = int(sys.argv[1]), int(sys.argv[2])
    events, late = tails(pool, seed), delays(pool, seed)
    gc.disable()  # nothing here makes cycles
    print("ready", flush=True)
    while line := sys.stdin.readline():
        if line.strip():
            print(msgspec.json.encode(_run(msgspec.json.decode(line, type=Job), events, late)).decode(), flush=True)


def _run(job: Job, events: list[bytes], late: list[int]) -> Result:
    source = _source(job, events, late)
    engine = Engine(job.port, job.connections, source)
    began = process_time()
    try:
        engine.run(job.seconds)
    finally:
        engine.close()
    latencies = sorted(engine.latencies)
    return Result(
        requests=len(latencies),
        accepted=source.accepted,
        seconds=engine.seconds,
        statuses=source.statuses,
        p50=_share(latencies, 0.5),
        p99=_share(latencies, 0.99),
        longest=_share(latencies, 1.0),
        cpu_seconds=process_time() - began,
    )


def _source(job: Job, events: list[bytes], late: list[int]) -> Source:
    if job.kind == "single":
        return SingleSource(job, events[:20_000])
    return LinesSource(job, events, late) if job.kind == "lines" else BodySource(job)


def _share(ordered: list[float], share: float) -> float:
    """The value below which this share lies, in ms."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1_000 if ordered else 0.0


if __name__ == "__main__":
    main()
