"""Reading what is stored: pages, one event, counts over time and by value. Decides; the ports fetch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from headrace.errors import ItemError, Malformed, NotFound
from headrace.kit.ids import parse_id
from headrace.kit.times import format_duration
from headrace.model.bucket import Bucket
from headrace.model.event import StoredEvent
from headrace.model.metric import QUERY_SECONDS, RECENT_LOOKUPS
from headrace.model.query import (
    EVERYTHING,
    FACET_FIELDS,
    EventFilter,
    FacetValue,
    GroupField,
    HistogramBar,
    Order,
    Position,
    Search,
)
from headrace.model.view import View
from headrace.ports.clock import Clock
from headrace.ports.events import Events
from headrace.ports.metrics import Metrics
from headrace.ports.recent import Recent
from headrace.query import bars
from headrace.query.busy import Busy, BusyQuery
from headrace.query.cursor import decode_cursor, encode_cursor

Facets: TypeAlias = dict[str, list[FacetValue]]

MAX_LIMIT = 1_000
MAX_OFFSET = 10_000
MAX_FACET_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class EventsPage:
    """`next_cursor` is None on the last page."""

    events: Sequence[StoredEvent]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Histogram:
    """`interval` as in `1m`; no bar is left out between the first and the last."""

    interval: str
    bars: Sequence[HistogramBar]


class Reader:
    """Each read raises QueryTimeout or Overloaded when the store says so, and Malformed for what cannot be asked."""

    def __init__(
        self, events: Events, recent: Recent, metrics: Metrics, clock: Clock, busy: Busy | None = None
    ) -> None:
        """`busy` is told of each read that the store has to answer."""
        self._busy = busy
        self._events = events
        self._recent = recent
        self._metrics = metrics
        self._clock = clock
        self._warming: dict[int, asyncio.Task[None]] = {}

    async def list(
        self,
        view: View,
        filter: EventFilter = EVERYTHING,
        *,
        order: Order = "desc",
        limit: int = 100,
        cursor: str | None = None,
        offset: int = 0,
    ) -> EventsPage:
        """A page by (time, id). A cursor knows its own order, and goes on behind its page whatever the filter is."""
        _check_page(limit, cursor, offset)
        wanted = view.narrow(filter)
        after: Position | None = None
        if cursor is not None:
            order, after = decode_cursor(cursor)
        with self._timed("list"):
            events = None
            if after is None and order == "desc" and wanted == EVERYTHING:
                events = await self._newest(view.bucket, limit + 1, offset)
            if events is None:  # one more than the page tells whether there is a next one
                if after is None and not offset:
                    self._note(view, BusyQuery("list", wanted, order=order, limit=limit))
                events = await self._events.search(Search(view.bucket.id, wanted, order, limit + 1, after, offset))
        if len(events) <= limit:
            return EventsPage(events, None)
        events = events[:limit]
        return EventsPage(events, encode_cursor(order, Position(events[-1].time, events[-1].id)))

    async def get(self, view: View, event_id: str) -> StoredEvent:
        """Raises NotFound, for what is no id and for what is outside of the view as well."""
        with self._timed("get"):
            try:
                event = await self._events.get(view.bucket.id, parse_id(event_id), view.narrow(EVERYTHING))
            except ValueError:
                event = None
        if event is None:
            raise NotFound(f"There is no event {event_id[:64]!r} in the bucket {view.bucket.name!r}.")
        return event

    async def histogram(
        self,
        view: View,
        filter: EventFilter = EVERYTHING,
        *,
        interval: str = bars.AUTO,
        by: GroupField | None = None,
    ) -> Histogram:
        """Counts over [since, until); where one is missing, from the first or to the last event that matches."""
        width = bars.parse_interval(interval)
        wanted = view.narrow(filter)
        with self._timed("histogram"):
            span = await self.span(view.bucket, wanted)
            if span is None:
                return Histogram(format_duration(width or bars.auto_interval(0, 0)), [])
            width = width or bars.auto_interval(*span)
            bars.check_bars(*span, width)
            self._note(view, BusyQuery("histogram", wanted, interval=interval, by=by))
            found = await self._events.histogram(view.bucket.id, wanted, width, by)
        return Histogram(format_duration(width), bars.fill(found, *span, width))

    async def facets(
        self, view: View, filter: EventFilter = EVERYTHING, *, fields: Sequence[str], limit: int = 10
    ) -> Facets:
        """The most frequent values of each field of FACET_FIELDS that is asked for."""
        if not fields:
            raise _malformed("fields", f"name at least one of {', '.join(FACET_FIELDS)}")
        for field in fields:
            if field not in FACET_FIELDS:
                raise _malformed("fields", f"{field[:64]!r} is none of {', '.join(FACET_FIELDS)}")
        if not 1 <= limit <= MAX_FACET_VALUES:
            raise _malformed("limit", f"from 1 to {MAX_FACET_VALUES:,} values of each field")
        with self._timed("facets"):
            wanted, distinct = view.narrow(filter), tuple(dict.fromkeys(fields))
            self._note(view, BusyQuery("facets", wanted, limit=limit, fields=distinct))
            return await self._events.facets(view.bucket.id, wanted, distinct, limit)

    @property
    def remembers(self) -> bool:
        """Whether there is a recent cache at all."""
        return self._recent.capacity > 0

    async def warm(self, bucket: Bucket) -> None:
        """Load the newest events of `bucket` into the cache, unless it has them. Who comes meanwhile waits for this."""
        task = self._warming.get(bucket.id)
        if task is None:
            ticket = self._recent.expect(bucket.id)
            if ticket is None:
                return
            task = self._warming[bucket.id] = asyncio.create_task(self._load(bucket.id, ticket))
            task.add_done_callback(partial(self._warmed, bucket.id))
        await asyncio.shield(task)  # a caller that goes away does not stop it for the others

    async def span(self, bucket: Bucket, filter: EventFilter) -> tuple[int, int] | None:
        """[since, until) of a filter; where one is missing, from the first or to the last event that matches."""
        since, until = filter.since, filter.until
        if since is None or until is None:
            found = await self._events.time_range(bucket.id, filter)
            if found is None:
                return None
            since = found[0] if since is None else since
            until = found[1] + 1 if until is None else until
        return since, until

    def _warmed(self, bucket_id: int, task: asyncio.Task[None]) -> None:
        del self._warming[bucket_id]
        if not task.cancelled():
            task.exception()  # told to those who wait; nobody may, when all of them went away

    async def _load(self, bucket_id: int, ticket: object) -> None:
        capacity = self._recent.capacity
        events = await self._events.latest(bucket_id, capacity)
        self._recent.load(bucket_id, ticket, events, complete=len(events) < capacity)

    async def _newest(self, bucket: Bucket, limit: int, offset: int) -> Sequence[StoredEvent] | None:
        """From the cache, loaded if it was not; None when that does not reach so far."""
        wanted = offset + limit
        events = self._recent.latest(bucket.id, wanted)
        self._metrics.add(RECENT_LOOKUPS, 1, "miss" if events is None else "hit")
        if events is None and wanted <= self._recent.capacity:
            await self.warm(bucket)
            events = self._recent.latest(bucket.id, wanted)
        return None if events is None else events[offset:]

    def _note(self, view: View, query: BusyQuery) -> None:
        if self._busy is not None:
            self._busy.note(view.bucket.id, query)

    @contextmanager
    def _timed(self, query: str) -> Iterator[None]:
        began = self._clock.monotonic()
        try:
            yield
        finally:
            self._metrics.observe(QUERY_SECONDS, self._clock.monotonic() - began, query)


def _check_page(limit: int, cursor: str | None, offset: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise _malformed("limit", f"from 1 to {MAX_LIMIT:,} events a page")
    if not 0 <= offset <= MAX_OFFSET:
        raise _malformed("offset", f"from 0 to {MAX_OFFSET:,}; use `cursor` to go further")
    if cursor is not None and offset:
        raise _malformed("offset", "a cursor goes on behind its page; leave `offset` out")


def _malformed(field: str, reason: str) -> Malformed:
    item = ItemError("bad-value", reason, field=field)
    return Malformed(f"The parameter {field!r} is not good: {reason}.", items=[item])
