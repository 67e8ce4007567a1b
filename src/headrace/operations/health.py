"""Is the service well: for load balancers (ready or not, and why), for people (status), for the gauges (metrics)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeVar

from headrace.errors import HeadraceError
from headrace.kit.times import SECOND
from headrace.model.block import QueueDepth
from headrace.model.metric import (
    QUEUE_BYTES,
    QUEUE_EVENTS,
    QUEUE_OLDEST_SECONDS,
    SPOOL_BYTES,
    SPOOL_EVENTS,
    STORE_BYTES,
    STORE_EVENTS,
    TASKS_OLDEST_SECONDS,
    TASKS_QUEUED,
)
from headrace.model.task import TaskQueue
from headrace.operations.watched_queue import WatchedQueue
from headrace.ports.clock import Clock
from headrace.ports.dead_letters import DeadLetters
from headrace.ports.events import Events
from headrace.ports.metrics import Metrics

_PATIENCE = 2.0  # seconds for one part to answer; load balancers give up after 5 or so
_FRESH = 0.5  # seconds: many probes cost one look
# After a failed commit we are not ready for this long, and then again: only traffic can show that commits work, and
# none comes while we are not ready.
_SULK = 10.0
MIN_FREE_BYTES = 16 * 1024 * 1024

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Readiness:
    """`parts` has "ok", or what is wrong, for each part."""

    ok: bool
    parts: dict[str, str]


@dataclass(frozen=True, slots=True)
class About:
    """What never changes while the process runs."""

    profile: str
    version: str
    guarantee: str = ""
    """What 202 means here, in a sentence."""


class Health:
    """No method raises: what cannot be asked is part of the answer."""

    def __init__(
        self,
        queue: WatchedQueue,
        events: Events,
        dead_letters: DeadLetters,
        clock: Clock,
        metrics: Metrics,
        *,
        about: About,
        free_bytes: Callable[[], int],
        min_free_bytes: int = MIN_FREE_BYTES,
        spooled: Callable[[], Awaitable[QueueDepth]] | None = None,
        lags: Callable[[], Mapping[str, float]] | None = None,
        tasks: Callable[[], Awaitable[Sequence[TaskQueue]]] | None = None,
    ) -> None:
        """`free_bytes`: the room left where the data lies. `spooled`: what waits on this machine for a queue that is
        away; None when nothing is taken then."""
        self._queue = queue
        self._events = events
        self._dead_letters = dead_letters
        self._clock = clock
        self._metrics = metrics
        self._about = about
        self._free_bytes = free_bytes
        self._min_free_bytes = min_free_bytes
        self._spooled = spooled
        self._lags = lags
        self._tasks = tasks
        self._began = clock.monotonic()
        self._draining = False
        self._last: tuple[float, Readiness] | None = None

    def drain(self) -> None:
        """The server is going to stop: not ready from now on."""
        self._draining = True
        self._last = None

    async def ready(self) -> Readiness:
        """Ready: a recent commit worked, there is disk, not draining; the queue is reachable, or there is a spool."""
        now = self._clock.monotonic()
        if self._last is None or now - self._last[0] > _FRESH:
            self._last = (now, await self._look())
        return self._last[1]

    async def status(self) -> dict[str, object]:
        """For `GET /v1/status`. What could not be asked is under `problems`, by part."""
        problems: dict[str, str] = {}
        status: dict[str, object] = {
            "profile": self._about.profile,
            "version": self._about.version,
            **({"guarantee": self._about.guarantee} if self._about.guarantee else {}),
            "uptime_seconds": round(self._clock.monotonic() - self._began, 3),
            "ready": (await self.ready()).ok,
        }
        if (depth := await asked(self._queue.depth(), "queue", problems)) is not None:
            status["queue"] = {"depth": depth.events, **_amounts(depth)}
        if self._spooled and (depth := await asked(self._spooled(), "spool", problems)) is not None:
            status["spool"] = {"events": depth.events, **_amounts(depth)}
        if (size := await asked(self._events.size(), "store", problems)) is not None:
            status["store"] = {"events": size[0], "bytes": size[1]}
        if (dead := await asked(self._dead_letters.count(), "dead_letters", problems)) is not None:
            status["dead_letters"] = dead
        if self._tasks and (queues := await asked(self._tasks(), "tasks", problems)) is not None:
            status["tasks"] = self._work(queues)
        if self._lags and (lags := self._lags()):
            status["replicas"] = {name: _replica(lag) for name, lag in lags.items()}
        status["disk"] = {"free_bytes": self._free_bytes()}
        return status | ({"problems": problems} if problems else {})

    async def measure(self) -> None:
        """Set the gauges of queue and store; what cannot be asked keeps its last value."""
        if (depth := await asked(self._queue.depth(), "queue", {})) is not None:
            self._metrics.set(QUEUE_EVENTS, depth.events)
            self._metrics.set(QUEUE_BYTES, depth.bytes)
            self._metrics.set(QUEUE_OLDEST_SECONDS, depth.oldest_seconds)
        if self._spooled and (depth := await asked(self._spooled(), "spool", {})) is not None:
            self._metrics.set(SPOOL_EVENTS, depth.events)
            self._metrics.set(SPOOL_BYTES, depth.bytes)
        if self._tasks and (queues := await asked(self._tasks(), "tasks", {})) is not None:
            work = self._work(queues)
            self._metrics.set(TASKS_QUEUED, work["queued"])
            self._metrics.set(TASKS_OLDEST_SECONDS, work["oldest_seconds"])
        if (size := await asked(self._events.size(), "store", {})) is not None:
            self._metrics.set(STORE_EVENTS, size[0])
            self._metrics.set(STORE_BYTES, size[1])

    def _work(self, queues: Sequence[TaskQueue]) -> dict[str, float]:
        """What waits and what runs, over all queues of tasks."""
        oldest = min((queue.oldest for queue in queues if queue.oldest is not None), default=None)
        return {
            "queued": sum(queue.queued for queue in queues),
            "scheduled": sum(queue.scheduled for queue in queues),
            "running": sum(queue.running for queue in queues),
            "oldest_seconds": 0.0 if oldest is None else max(0.0, (self._clock.now() - oldest) / SECOND),
        }

    async def _look(self) -> Readiness:
        fatal: dict[str, str] = {}
        parts = dict.fromkeys(("server", "queue", "disk"), "ok") | await self._look_at_queue(fatal)
        if (free := self._free_bytes()) < self._min_free_bytes:
            fatal["disk"] = f"{free} bytes are free; {self._min_free_bytes} are needed"
        if self._draining:
            fatal["server"] = "shutting down"
        return Readiness(ok=not fatal, parts=parts | fatal)

    async def _look_at_queue(self, fatal: dict[str, str]) -> dict[str, str]:
        """What is to be said of queue and spool although it does no harm; what does is added to `fatal`."""
        said: dict[str, str] = {}
        await asked(self._queue.depth(), "queue", fatal if self._spooled is None else said)
        if trouble := self._queue.trouble(_SULK):
            fatal.setdefault("queue", trouble)
        if self._spooled is not None:
            spooled = await asked(self._spooled(), "spool", fatal)
            waits = spooled is not None and spooled.blocks
            said["spool"] = f"{waits} blocks wait on this machine for the queue" if waits else "ok"
        return said


def _amounts(depth: QueueDepth) -> dict[str, float]:
    return {"oldest_seconds": round(depth.oldest_seconds, 3), "blocks": depth.blocks, "bytes": depth.bytes}


def _replica(lag: float) -> dict[str, object]:
    return {"reachable": isfinite(lag), **({"lag_seconds": round(lag, 3)} if isfinite(lag) else {})}


async def asked(answer: Awaitable[_T], part: str, problems: dict[str, str]) -> _T | None:
    """The answer, or None within 2 s: then `problems` says under `part` why. Raises nothing of ours."""
    try:
        async with asyncio.timeout(_PATIENCE):
            return await answer
    except TimeoutError:
        problems[part] = f"no answer within {_PATIENCE:g} s"
    except HeadraceError as exc:
        problems[part] = exc.detail
    return None
