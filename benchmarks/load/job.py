"""What the load process is told (one line of JSON on its standard input) and what it answers (one on its output)."""

from __future__ import annotations

from typing import Literal

import msgspec

LINES_PER_REQUEST = 1_000


class Job(msgspec.Struct, forbid_unknown_fields=True):
    """Ends after `seconds`, after `events`, or when told to stop, whichever comes first."""

    kind: Literal["single", "lines", "body", "tasks"]
    """`single` and `lines`: events, one and LINES_PER_REQUEST a request. `body`: each request sends `body`. `tasks`:
    LINES_PER_REQUEST times `body` a request."""
    port: int
    key: str
    path: str = "/v1/buckets/default/events"
    body: str = ""
    connections: int = 64
    seconds: float | None = None
    events: int | None = None
    rate: float | None = None
    """Events a second, at most; None: as fast as it goes. Not for `body` and `tasks`."""
    first_time: int | None = None
    """µs since 1970 of the first event; None: every event happens when it is sent. For `lines`."""
    time_step: float = 0.0
    """µs from one event to the next, with `first_time`."""


class Result(msgspec.Struct):
    """`statuses` counts the answers; `accepted` the events that they acknowledged. Latencies are ms."""

    requests: int
    accepted: int
    seconds: float
    statuses: dict[int, int]
    p50: float
    p99: float
    longest: float
    cpu_seconds: float
    """Of the load process."""

    @property
    def per_second(self) -> float:
        return self.accepted / self.seconds
