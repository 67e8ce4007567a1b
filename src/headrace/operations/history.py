"""The last hour in figures, in memory: what the console's overview shows, and how it moves.

A sample every two seconds, from the counters that features have and the two stores' own answers. Nothing is kept over
a restart, and the memory that it takes (170 KiB) is taken at the start.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.kit.times import SECOND
from headrace.model.metric import (
    DEAD_LETTERS,
    DRAIN_DUPLICATES,
    DRAIN_EVENTS,
    DRAIN_LAG_SECONDS,
    EVENTS_ACCEPTED,
    REQUESTS,
    Metric,
)
from headrace.operations.health import asked
from headrace.ports.clock import Clock
from headrace.ports.events import Events
from headrace.ports.metrics import Metrics
from headrace.ports.queue import Queue

SAMPLE_SECONDS = 2.0
KEPT = 1_800  # an hour of them
_CLIENT_LEFT = 499  # web/middleware/measure.py: whoever hung up was not refused

FIELDS = (
    "time", "accepted", "stored", "depth", "age", "lag", "failed", "refused", "bytes", "events", "acknowledged",
)  # fmt: skip
"""Of a sample. `time`: seconds since 1970. `accepted`, `stored`: events a second; `failed`, `refused`: answers a second
with a status from 500, and from 400 to 498. `depth`: events that wait; `age`: seconds that the oldest of them has
waited; `lag`: seconds from an acknowledgement until the event could be found. `bytes`, `events`: the store;
`acknowledged`: events since the start. NaN is what could not be asked."""

Sample = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Window:
    """Samples, oldest first, as one column for each of FIELDS. `position` is that of the last one."""

    position: int
    columns: Mapping[str, list[float]]


@dataclass(frozen=True, slots=True)
class _Counts:
    """The counters at one moment, which is `at` on the monotonic clock."""

    at: float
    accepted: float
    stored: float
    failed: float
    refused: float


class History:
    """`step()` takes a sample; a worker loops it. Positions only grow, over restarts too."""

    def __init__(self, queue: Queue, events: Events, metrics: Metrics, clock: Clock, *, kept: int = KEPT) -> None:
        self._queue = queue
        self._events = events
        self._metrics = metrics
        self._clock = clock
        self._kept = kept
        self._columns = {field: array("d", bytes(8 * kept)) for field in FIELDS}
        self._began = self._position = clock.now() // 1000  # ms: one sample in 2 s never reaches the next start's
        self._size: tuple[float, float] = (math.nan, math.nan)
        self._last = self._counts()
        self._news = asyncio.Event()
        self._stopped = False

    async def step(self) -> int:
        """Take one sample; 0, since there is nothing more to do at once."""
        before, now = self._last, self._counts()
        seconds = max(now.at - before.at, 1e-3)
        depth = await asked(self._queue.depth(), "queue", {})
        await self._measure_store()
        age = math.nan if depth is None else depth.oldest_seconds
        self._last = now
        self._put({
            "time": self._clock.now() / SECOND,
            "accepted": (now.accepted - before.accepted) / seconds,
            "stored": (now.stored - before.stored) / seconds,
            "depth": math.nan if depth is None else depth.events,
            "age": age,
            "lag": self._lag(age, moved=now.stored > before.stored),
            "failed": (now.failed - before.failed) / seconds,
            "refused": (now.refused - before.refused) / seconds,
            "bytes": self._size[1],
            "events": self._size[0],
            "acknowledged": now.accepted,
        })
        return 0

    def newest(self) -> Sample | None:
        """The last sample, or None before the first."""
        if self._position == self._began:
            return None
        place = (self._position - 1) % self._kept
        return {field: column[place] for field, column in self._columns.items()}

    def window(self, after: int = 0) -> Window:
        """All samples that are kept and came after the position `after`."""
        first = max(after, self._began, self._position - self._kept)
        places = [number % self._kept for number in range(first, self._position)]
        columns = {field: [column[place] for place in places] for field, column in self._columns.items()}
        return Window(self._position, columns)

    async def following(self, after: int = 0) -> Window | None:
        """The same as soon as there is at least one; None once the server stops."""
        while self._position <= max(after, self._began) and not self._stopped:
            await self._news.wait()
        return None if self._stopped else self.window(after)

    def stop(self) -> None:
        """Let nobody wait any longer: for good."""
        self._stopped = True
        self._news.set()

    def _put(self, sample: Sample) -> None:
        place = self._position % self._kept
        for field, column in self._columns.items():
            column[place] = round(sample[field], 3)
        self._position += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _lag(self, age: float, *, moved: bool) -> float:
        """What the drain last saw, if it stored something since the last sample; else what waits shows it, or nothing
        does."""
        seen = sum(self._metrics.values(DRAIN_LAG_SECONDS).values()) if moved else 0.0
        return seen if math.isnan(age) else max(seen, age)

    async def _measure_store(self) -> None:
        """A store that cannot answer now keeps its last size, which moves slowly: its few readers may be busy."""
        self._size = await asked(self._events.size(), "store", {}) or self._size

    def _counts(self) -> _Counts:
        count = self._count
        return _Counts(
            self._clock.monotonic(),
            count(EVENTS_ACCEPTED),
            # A duplicate and a dead letter are where they belong, too: nothing of them waits any more.
            count(DRAIN_EVENTS) + count(DRAIN_DUPLICATES) + count(DEAD_LETTERS),
            count(REQUESTS, lambda labels: _status(labels) >= 500),
            count(REQUESTS, lambda labels: 400 <= _status(labels) < _CLIENT_LEFT),
        )

    def _count(self, metric: Metric, wanted: Callable[[tuple[str, ...]], bool] = lambda _: True) -> float:
        return sum(value for labels, value in self._metrics.values(metric).items() if wanted(labels))


def _status(labels: tuple[str, ...]) -> int:
    """Of REQUESTS: the last one."""
    return int(labels[-1])
