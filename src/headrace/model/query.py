"""What a reader asks for: a filter, a page, a grouping. Parsed and bounded already; adapters only translate it."""

from __future__ import annotations

from collections.abc import Iterator
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

    def nested(self) -> Iterator[EventFilter]:
        """This filter and each that it is within, from the inside out."""
        level: EventFilter | None = self
        while level is not None:
            yield level
            level = level.within

    def times(self) -> tuple[int | None, int | None]:
        """(since, until) in which all parts hold, `within` included."""
        sinces = [level.since for level in self.nested() if level.since is not None]
        untils = [level.until for level in self.nested() if level.until is not None]
        return max(sinces, default=None), min(untils, default=None)

    @property
    def is_selective(self) -> bool:
        """Whether anything but the time is asked for, `within` included."""
        return any(
            level != EventFilter(since=level.since, until=level.until, within=level.within) for level in self.nested()
        )


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

    def times(self) -> tuple[int | None, int | None]:
        """(since, until) among which the page lies: those of the filter, and from `after` on."""
        since, until = self.filter.times()
        if self.after is None:
            return since, until
        if self.order == "desc":
            edge = self.after.time + 1
            return since, edge if until is None else min(until, edge)
        return self.after.time if since is None else max(since, self.after.time), until


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
