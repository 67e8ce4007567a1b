"""A day of events in a server: what the figures about queries, size and growth are measured on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmarks.context import BATCH_CONNECTIONS, Bench, Round
from benchmarks.load.job import Job
from benchmarks.questions import RARE
from benchmarks.servers import Headrace
from headrace.kit.times import DAY, MINUTE, format_time

_EVENTS_PATH = "/v1/buckets/default/events"
_WINDOWS = (0.02, 0.2, 0.95)
"""Where the windows begin whose cost is compared, as shares of all: at 5 M, these are 0.1 M, 1 M and 4.75 M."""
_WINDOW = 0.05
_ENDS = (100_000, 1_000_000, 5_000_000, 20_000_000)
_LONGEST_WINDOW = 250_000


@dataclass(frozen=True, slots=True)
class Leg:
    """Events from number `begin` to `end`; `measured` if their cost counts."""

    begin: int
    end: int
    measured: bool


def legs_up_to(events: int) -> list[Leg]:
    """Windows that end at 0.1 M, 1 M, 5 M and 20 M events, as far as there are so many."""
    ends = [end for end in _ENDS if end < events]
    result: list[Leg] = []
    at = 0
    for end in [*(ends or [events // 5]), events]:
        begin = max(at, end - min(_LONGEST_WINDOW, end // 2))
        result += [Leg(at, begin, measured=False), Leg(begin, end, measured=True)]
        at = end
    return result


def legs(events: int) -> list[Leg]:
    result: list[Leg] = []
    at = 0
    for share in _WINDOWS:
        begin, end = int(share * events), int((share + _WINDOW) * events)
        result += [Leg(at, begin, measured=False), Leg(begin, end, measured=True)]
        at = end
    return result


class Day:
    """Loaded leg by leg, oldest first, each until it can be queried."""

    def __init__(self, bench: Bench, server: Headrace, *others: Callable[[], float], days: int = 1) -> None:
        """`others`: CPU-seconds of what works for the server."""
        self._bench = bench
        self._others = others
        self.server = server
        self.days = days
        self._start = time.time_ns() // 1_000 - days * DAY
        self._step = days * DAY / bench.scale.events
        self.stored = 0
        self.events_per_second = 0.0
        """Until they can be queried, in the last leg."""

    @property
    def middle(self) -> str:
        return format_time(self._start + self.days * DAY // 2)

    @property
    def last_day(self) -> dict[str, str]:
        """As filters, in whole minutes."""
        end = (self._start + self.days * DAY) // MINUTE * MINUTE
        return {"since": format_time(end - DAY), "until": format_time(end)}

    def fill(self, leg: Leg) -> Round:
        """The events of a leg, and one with a rare word."""
        began = time.perf_counter()
        done = self._bench.measured(self.server, self._job(leg), *self._others)
        self.events_per_second = done.result.accepted / (time.perf_counter() - began)
        if done.result.accepted != leg.end - leg.begin:
            raise RuntimeError(f"{done.result.accepted} of {leg.end - leg.begin} events were accepted")
        self._rare(leg)
        self.stored += done.result.accepted + 1
        self._bench.tell(
            f"{self.stored:,} events stored: {self.events_per_second:,.0f} events/s, "
            f"{1e6 / done.events_per_cpu_second:.2f} µs of CPU each"
        )
        return done

    def check(self) -> None:
        """Raises RuntimeError when the server does not hold exactly what it acknowledged."""
        with self.server.client() as client:
            events = client.json("/v1/buckets/default")["events"]
        if events != self.stored:
            raise RuntimeError(f"the server holds {events:,} events, and acknowledged {self.stored:,}")

    def copy(self) -> Path:
        """A copy of the store's file; the server must be stopped."""
        return Path(shutil.copyfile(self.server.directory / "events.duckdb", self._bench.directory / "copy.duckdb"))

    def _job(self, leg: Leg) -> Job:
        return Job(
            kind="lines",
            port=self.server.port,
            key=self.server.key,
            connections=BATCH_CONNECTIONS,
            events=leg.end - leg.begin,
            first_time=self._time(leg.begin),
            time_step=self._step,
        )

    def _rare(self, leg: Leg) -> None:
        event = {"time": format_time(self._time((leg.begin + leg.end) // 2)), "message": f"A flask of {RARE} broke"}
        with self.server.client() as client:
            answer = client.post(f"{_EVENTS_PATH}?ack=stored", msgspec.json.encode(event))
        if answer.status != 201:
            raise RuntimeError(f"a single event was answered with {answer.status}: {answer.body!r}")

    def _time(self, number: int) -> int:
        return self._start + int(number * self._step)
