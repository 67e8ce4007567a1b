"""What every group of figures is handed: how much to do, where, with which load, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.load.driver import Load
from benchmarks.load.job import Job, Result
from benchmarks.process import Cores
from benchmarks.servers import Headrace, Server

FULL_EVENTS = 5_000_000
QUICK_EVENTS = 200_000
BATCH_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done. The whole takes about 8 minutes; quick, 80 seconds."""

    events: int
    """In the store, for the queries."""
    pool: int
    """Different events; more than a row group (122,880), so that compression meets nothing twice."""
    rounds: int
    round_seconds: float
    batch_events: int
    """In each round of the batches that are followed until they can be queried."""
    query_seconds: float
    """For each query, and as long again for its reference."""
    day_events: int = 1_000_000
    """At most so many in a day on PostgreSQL, whose partitions are days."""
    tasks: int = 30_000
    """In each turn; a reference runs a third of them."""
    waiting: int = 5_000_000
    """Tasks in a queue, while others are claimed."""
    watch_seconds: float = 20.0
    """Of an idle server, or one with a few tasks a second."""

    @classmethod
    def full(cls, events: int) -> Scale:
        return cls(
            events, pool=250_000, rounds=5, round_seconds=2.0, batch_events=400_000, query_seconds=2.0, waiting=events
        )

    @classmethod
    def quick(cls, events: int) -> Scale:
        batch, day = min(60_000, 2 * events), max(2_000, events // 3)
        return cls(
            events, pool=60_000, rounds=3, round_seconds=0.7, batch_events=batch, query_seconds=0.4, day_events=day,
            tasks=min(10_000, events), waiting=events, watch_seconds=10.0,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bench:
    scale: Scale
    cores: Cores
    directory: Path
    load: Load
    tell: Callable[[str], None]
    """One line of progress."""

    def headrace(self, name: str, *, drain: bool = True) -> Headrace:
        """A fresh server."""
        return Headrace(self.directory / name, self.cores, drain=drain)

    def measured(self, server: Server, job: Job, *others: Callable[[], float]) -> Round:
        """Run a job until everything that it brought is done; what it took the server, and `others` whose CPU-seconds
        count as well."""
        meters = (server.cpu_seconds, *others)
        before = sum(meter() for meter in meters)
        result = self.load.run(job)
        server.settle()
        if not result.accepted or any(status >= 300 and status != 503 for status in result.statuses):
            raise RuntimeError(f"the load was answered with {result.statuses}")
        return Round(result, sum(meter() for meter in meters) - before)


@dataclass(frozen=True, slots=True)
class Round:
    result: Result
    cpu_seconds: float
    """Of the server's process tree."""

    @property
    def events_per_cpu_second(self) -> float:
        return self.result.accepted / self.cpu_seconds


def middle(rounds: Sequence[Round], figure: Callable[[Round], float]) -> float:
    return median(figure(measured) for measured in rounds)
