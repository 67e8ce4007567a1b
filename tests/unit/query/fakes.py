"""The least of an event store that reading needs: lists in memory, and a hand on what goes wrong."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace

from headrace.errors import HeadraceError
from headrace.model.bucket import Bucket
from headrace.model.event import LEVELS, StoredEvent
from headrace.model.metric import Metric
from headrace.model.query import EVERYTHING, EventFilter, FacetValue, GroupField, HistogramBar, Search
from headrace.model.view import View
from tests.support.events import newest_first

BUCKET = Bucket(7, "app", "", None, 1)
WHOLE = View(BUCKET)
_KNOWN = {"since", "until", "levels", "within"}  # the filters that this store understands


class FakeEvents:
    """`failures` are raised by the next reads, one each; `look` is how many events `after` looks at in one go."""

    def __init__(self, events: Sequence[StoredEvent] = (), bucket_id: int = BUCKET.id) -> None:
        self.stored = [(bucket_id, event) for event in events]
        self.failures: list[HeadraceError] = []
        self.asked: Counter[str] = Counter()
        self.searches: list[Search] = []
        self.look = 10_000
        self.gate: asyncio.Event | None = None

    def add(self, *events: StoredEvent, bucket_id: int = BUCKET.id) -> None:
        self.stored += [(bucket_id, event) for event in events]

    async def search(self, search: Search) -> Sequence[StoredEvent]:
        await self._enter("search")
        self.searches.append(search)
        found = newest_first(self._matching(search.bucket_id, search.filter))
        if search.after is not None:
            key = (search.after.time, search.after.id)
            found = [e for e in found if ((e.time, e.id) < key) == (search.order == "desc") and (e.time, e.id) != key]
        if search.order == "asc":
            found.reverse()
        return found[search.offset : search.offset + search.limit]

    async def get(self, bucket_id: int, event_id: int, filter: EventFilter = EVERYTHING) -> StoredEvent | None:
        await self._enter("get")
        return next((event for event in self._matching(bucket_id, filter) if event.id == event_id), None)

    async def latest(self, bucket_id: int, limit: int) -> Sequence[StoredEvent]:
        await self._enter("latest")
        found = newest_first(self._matching(bucket_id, EVERYTHING))[:limit]
        if self.gate is not None:
            await self.gate.wait()
        return found

    async def last_seq(self, bucket_id: int) -> int:
        await self._enter("last_seq")
        return max((event.seq for _, event in self.stored), default=0)

    async def after(
        self, bucket_id: int, filter: EventFilter, seq: int, limit: int
    ) -> tuple[Sequence[StoredEvent], int]:
        await self._enter("after")
        behind = sorted((event.seq, bucket, event) for bucket, event in self.stored if event.seq > seq)[: self.look]
        matching = self._matching(bucket_id, filter)
        found = [event for _, bucket, event in behind if bucket == bucket_id and event in matching][:limit]
        reached = found[-1].seq if len(found) == limit else max((place for place, _, _ in behind), default=seq)
        return found, reached

    async def time_range(self, bucket_id: int, filter: EventFilter) -> tuple[int, int] | None:
        await self._enter("time_range")
        times = [event.time for event in self._matching(bucket_id, filter)]
        return (min(times), max(times)) if times else None

    async def histogram(
        self, bucket_id: int, filter: EventFilter, interval: int, by: GroupField | None
    ) -> Sequence[HistogramBar]:
        await self._enter("histogram")
        matching = self._matching(bucket_id, filter)
        times = Counter(event.time // interval * interval for event in matching)
        return [HistogramBar(time, count) for time, count in sorted(times.items())]

    async def facets(
        self, bucket_id: int, filter: EventFilter, fields: Sequence[str], limit: int
    ) -> dict[str, list[FacetValue]]:
        await self._enter("facets")
        levels = Counter(LEVELS[event.level] for event in self._matching(bucket_id, filter))
        return {field: [FacetValue(*pair) for pair in levels.most_common(limit)] for field in fields}

    async def _enter(self, question: str) -> None:
        self.asked[question] += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)

    def _matching(self, bucket_id: int, filter: EventFilter) -> list[StoredEvent]:
        if filter.within is not None:
            inner = self._matching(bucket_id, filter.within)
            return [event for event in self._matching(bucket_id, replace(filter, within=None)) if event in inner]
        unknown = {one.name for one in fields(filter) if getattr(filter, one.name)} - _KNOWN
        assert not unknown, f"this store does not know {unknown}"
        return [
            event
            for bucket, event in self.stored
            if bucket == bucket_id
            and (filter.since is None or event.time >= filter.since)
            and (filter.until is None or event.time < filter.until)
            and (not filter.levels or event.level in filter.levels)
        ]


class CountingMetrics:
    """What was counted, by name and labels."""

    def __init__(self) -> None:
        self.values: Counter[tuple[str, ...]] = Counter()

    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None:
        self.values[metric.name, *labels] += amount

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        self.values[metric.name, *labels] = value

    def watch(self, gauge: Metric, read: object) -> None: ...

    def observe(self, metric: Metric, value: float, *labels: str) -> None:
        self.values[metric.name, *labels] += 1

    def render(self) -> tuple[str, bytes]:
        return "", b""
