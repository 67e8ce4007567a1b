"""The visitor's tasks on the overview: how many wait, run and have failed, and how those of the last hour ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.errors import NotFound, Retriable
from headrace.kit.times import HOUR, MINUTE
from headrace.model.principal import Principal
from headrace.model.query import ActionMatch, EventFilter, HistogramBar
from headrace.model.task import Status
from headrace.model.task_journal import TASKS_BUCKET
from headrace.services import Services

ENDS: Final = (Status.SUCCEEDED, Status.FAILED, Status.DEAD, Status.CANCELLED)
HEIGHT = 100.0
_STEP = 10.0  # between two bars; one is a little narrower
_BAR = 8.0
_LEAST = 2.0  # what happened once must be seen beside what happened 10,000 times


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar, from its top down."""

    status: Status
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """`time` (µs) is when the minute began."""

    time: int
    x: float
    counts: Mapping[Status, int]
    pieces: Sequence[Piece]


@dataclass(frozen=True, slots=True)
class Ended:
    """Of the last hour; `most` ended in one minute."""

    bars: Sequence[Bar]
    totals: Mapping[Status, int]
    most: int

    @property
    def width(self) -> float:
        return len(self.bars) * _STEP


@dataclass(frozen=True, slots=True)
class Figures:
    counts: Mapping[Status, int]
    ended: Ended | None
    """None: it cannot be asked now."""

    @property
    def waiting(self) -> int:
        return self.counts[Status.QUEUED] + self.counts[Status.SCHEDULED]

    @property
    def went_wrong(self) -> int:
        return self.counts[Status.FAILED] + self.counts[Status.DEAD]


async def figures(services: Services, visitor: Principal) -> Figures | None:
    """None where the visitor has no tasks. Raises Unavailable and its kin."""
    counts = dict.fromkeys(Status, 0)
    for one in await services.tasks.counts(visitor):
        counts[one.status] += one.count
    if not any(counts.values()):
        return None
    return Figures(counts, await _ended(services, visitor))


async def _ended(services: Services, visitor: Principal) -> Ended | None:
    now = services.clock.now()
    until = (now // MINUTE + 1) * MINUTE
    actions = tuple(ActionMatch(f"task.{status.value}") for status in ENDS)
    try:
        view = services.view(visitor, await services.buckets.resolve(TASKS_BUCKET))
        wanted = EventFilter(since=until - HOUR, until=until, actions=actions)
        counted = await services.reader.histogram(view, wanted, interval="1m", by="action")
    except (Retriable, NotFound):
        return None
    return _drawn(counted.bars)


def _drawn(found: Sequence[HistogramBar]) -> Ended:
    most = max((bar.count for bar in found), default=0)
    bars = [_bar(number, bar, most) for number, bar in enumerate(found)]
    totals = {status: sum(bar.counts[status] for bar in bars) for status in ENDS}
    return Ended(bars, totals, most)


def _bar(number: int, bar: HistogramBar, most: int) -> Bar:
    groups = dict(bar.by)
    counts = {status: groups.get(f"task.{status.value}", 0) for status in ENDS}
    pieces, top = [], HEIGHT
    for status, count in counts.items():
        if count:
            height = max(_LEAST, count / most * HEIGHT)
            top = max(0.0, top - height)
            pieces.append(Piece(status, round(top, 1), round(height, 1)))
    return Bar(bar.time, number * _STEP + (_STEP - _BAR) / 2, counts, pieces)
