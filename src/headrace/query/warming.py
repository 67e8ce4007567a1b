"""Warming: the reads that will come are made before anybody waits for them, one at a time and out of the way.

At start and once a day: the newest events of the largest buckets go into the recent cache (where there is none, their
first page into the caches of the database server), and the queries that come often are run once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from headrace.errors import HeadraceError, ItemError
from headrace.model.bucket import Bucket
from headrace.model.permission import require_admin
from headrace.model.principal import Principal
from headrace.model.query import Search
from headrace.model.task_kind import TaskKind
from headrace.ports.buckets import Buckets
from headrace.ports.clock import Clock
from headrace.ports.crew import Attempt
from headrace.ports.events import Events
from headrace.ports.queue import Queue
from headrace.query import bars
from headrace.query.busy import Busy, BusyQuery
from headrace.query.reader import Reader
from headrace.query.task_args import flaws

WARM_TYPE = "cache.warm"
LARGEST = 100  # 1,000 events of 0.6 kB each of so many fill the 64 MiB of the recent cache
_MEASURED = 2_000  # buckets of which it is asked how large they are, the oldest ones
_FIRST_PAGE = 100
_DEEP_EVENTS = 20_000  # what the drain writes in about a second
_DEEP_SECONDS = 5.0
_PAUSE_SECONDS = 0.02  # between two reads: others come in between
_WAIT_SECONDS = 1.0
_WAITS = 120  # in all, for the queue to become shallow; then whoever reads warms the caches

_log = structlog.get_logger("headrace.query")


@dataclass(slots=True)
class _Plan:
    """What is to be done once, and what became of it. A job says under what it counts, if at all."""

    todo: deque[Callable[[], Awaitable[str]]] = field(default_factory=deque)
    done: Counter[str] = field(default_factory=Counter)
    waits: int = _WAITS

    def said(self) -> dict[str, int]:
        """For the result and the log."""
        return {what: self.done[what] for what in ("buckets", "queries", "left_out")}


class Warming:
    """`step` makes one read of the plan at start after the other, and from then on writes down what is busy."""

    def __init__(
        self, reader: Reader, busy: Busy, events: Events, buckets: Buckets, queue: Queue, clock: Clock
    ) -> None:
        self._reader = reader
        self._busy = busy
        self._events = events
        self._buckets = buckets
        self._queue = queue
        self._clock = clock
        self._current: _Plan | None = None

    @property
    def kind(self) -> TaskKind:
        """For the schedule of the system."""
        return TaskKind(
            WARM_TYPE,
            lambda raw: flaws(raw, dict[str, object], _no_args),
            house=True,
            description="Load what is read often into the caches.",
            permit=_permit,
        )

    async def run(self, attempt: Attempt, args: Mapping[str, Any]) -> object:  # noqa: ARG002 - it has none
        """`{"buckets": …, "queries": …, "left_out": …}`: what was loaded and run, and what failed or had to stand back
        because the queue stayed deep. Raises Unavailable while nobody knows which buckets there are."""
        plan = await self._plan()
        while plan.todo:
            await self._next(plan)
            attempt.progress(plan.said())
        return plan.said()

    async def step(self) -> int:
        """For a loop, which may be stopped between two reads. Raises Unavailable."""
        if self._current is None:
            self._current = await self._plan()
        if not self._current.todo:
            await self._busy.flush()
            return 0
        await self._next(self._current)
        if not self._current.todo:
            _log.info("caches are warm", **self._current.said())
        return 1

    async def _plan(self) -> _Plan:
        plan, largest = _Plan(), await self._largest()
        plan.todo.extend(partial(self._load, bucket) for bucket in largest)
        plan.todo.extend(partial(self._look_up, plan, bucket) for bucket in largest)
        return plan

    async def _next(self, plan: _Plan) -> None:
        await self._clock.sleep(_PAUSE_SECONDS)
        if await self._is_deep() and plan.waits:
            plan.waits -= 1
            await self._clock.sleep(_WAIT_SECONDS)
            return
        job = plan.todo.popleft()
        try:
            plan.done[await job() if plan.waits else "left_out"] += 1
        except HeadraceError:  # the store is busy or away, or the bucket is gone
            plan.done["left_out"] += 1

    async def _is_deep(self) -> bool:
        """What was acknowledged is to be stored first."""
        depth = await self._queue.depth()
        return depth.events > _DEEP_EVENTS or (depth.blocks > 0 and depth.oldest_seconds > _DEEP_SECONDS)

    async def _largest(self) -> Sequence[Bucket]:
        """The largest first."""
        buckets = await self._buckets.list()
        if len(buckets) <= LARGEST:
            return buckets
        sizes: dict[int, int] = {}
        for bucket in buckets[:_MEASURED]:
            try:
                sizes[bucket.id] = (await self._events.bucket_stats(bucket.id)).events
            except HeadraceError:
                sizes[bucket.id] = 0
            await self._clock.sleep(0)
        ranked = sorted(buckets, key=lambda bucket: (-sizes.get(bucket.id, 0), bucket.id))
        return ranked[:LARGEST]

    async def _load(self, bucket: Bucket) -> str:
        if self._reader.remembers:
            await self._reader.warm(bucket)
        else:
            await self._events.latest(bucket.id, _FIRST_PAGE)
        return "buckets"

    async def _look_up(self, plan: _Plan, bucket: Bucket) -> str:
        queries = await self._busy.top(bucket.id)
        plan.todo.extend(partial(self._ask, bucket, query) for query in queries)
        return ""

    async def _ask(self, bucket: Bucket, query: BusyQuery) -> str:
        """Past what the reader counts: nobody asked for it, and nobody waits."""
        wanted = query.filter_at(self._clock.now())
        if query.kind == "list":
            await self._events.search(Search(bucket.id, wanted, query.order, query.limit + 1))
        elif query.kind == "facets":
            await self._events.facets(bucket.id, wanted, query.fields, query.limit)
        elif (span := await self._reader.span(bucket, wanted)) is not None:
            width = bars.parse_interval(query.interval) or bars.auto_interval(*span)
            bars.check_bars(*span, width)
            await self._events.histogram(bucket.id, wanted, width, query.by)
        return "queries"


async def _permit(principal: Principal, raw: bytes) -> None:  # noqa: ARG001 - it has no args
    require_admin(principal)


def _no_args(args: dict[str, object]) -> Sequence[ItemError]:
    return [ItemError("unknown-field", "it takes no args", field=f"args.{name[:100]}") for name in args]
