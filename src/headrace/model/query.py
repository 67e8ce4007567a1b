"""What a reader asks for: a filter, a page, a grouping. Parsed and bounded already; adapters only translate it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

Order = Literal["desc", "asc"]
GroupField = Literal["level", "service", "action", "outcome"]
FACET_FIELDS = (
    "level", "service", "action", "outcome", "actor", "actor_type", "target", "target_type", "trace_id",
)


@dataclass(frozen=True, slots=True)
class Word:
    """Text that must (or, negated, must not) occur in the message or in a scalar value of the attributes."""

    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class ActionMatch:
    """An action, or everything that begins with `text` when `prefix`."""

    text: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class AttributeMatch:
    """Any of `values` at `path`: the value under a, b or under the literal key "a.b" for the path `a.b`."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """All parts must hold; within a part, any of its values. Times are µs since 1970, `until` exclusive."""

    since: int | None = None
    until: int | None = None
    levels: tuple[int, ...] = ()
    min_level: int | None = None
    services: tuple[str, ...] = ()
    actions: tuple[ActionMatch, ...] = ()
    actors: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()
    texts: tuple[tuple[Word, ...], ...] = ()
    """One entry for each `q`; an event matches if it matches all the words of any entry."""
    attributes: tuple[AttributeMatch, ...] = ()
    within: EventFilter | None = None
    """This must hold as well, whatever the other parts say: what a view allows. It may have a `within` of its own."""
    read_after: int = field(default=0, compare=False)
    """Which copy may answer, not what matches: one that has reached this position."""

    def and_within(self, other: EventFilter) -> EventFilter:
        """Both: what matches this filter and `other`."""
        return replace(self, within=other if self.within is None else self.within.and_within(other))

    def times(self) -> tuple[int | None, int | None]:
        """(since, until) in which all parts hold, `within` included."""
        if self.within is None:
            return self.since, self.until
        since, until = self.within.times()
        sinces = [time for time in (since, self.since) if time is not None]
        untils = [time for time in (until, self.until) if time is not None]
        return max(sinces, default=None), min(untils, default=None)


EVERYTHING = EventFilter()


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order (time, id), exclusive: the last event of the page before."""

    time: int
    id: int


@dataclass(frozen=True, slots=True)
class Search:
    """A page of one bucket."""

    bucket_id: int
    filter: EventFilter = EVERYTHING
    order: Order = "desc"
    limit: int = 100
    after: Position | None = None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class HistogramBar:
    """How many events begin in [time, time + interval), in all and by group. Times in µs."""

    time: int
    count: int
    by: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class FacetValue:
    value: str
    count: int
