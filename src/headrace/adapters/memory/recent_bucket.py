"""One bucket of the recent cache: its rows above the floor, and the events made of the newest of them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from operator import itemgetter

from headrace.adapters.memory.recent_rows import ID, SEQ, SIZE, Key, Row, Rows, event_of, extract, newest, row_of
from headrace.model.event import EventBatch, StoredEvent

_SLACK = 4  # rows are dropped when there are so many times the capacity: one sort for every 3,000 rows
_BOTTOM: Key = (datetime.min.replace(tzinfo=UTC), 0, 0)


class RecentBucket:
    """Every event that reaches the floor is in the rows; until `loaded`, only of those added since it was made."""

    def __init__(self, capacity: int, max_bytes: int) -> None:
        self.loaded = False
        self.bytes = 0
        self._capacity = capacity
        self._max_bytes = max_bytes
        self._floor = _BOTTOM
        self._rows: list[Row] = []
        self._settled = True
        self._newest_loaded = 0  # a seq: what is added with this one or less may have come with the load already
        self._view: list[StoredEvent] = []  # the newest rows as events, newest first, as far as they were asked for

    def load(self, events: Sequence[StoredEvent], complete: bool) -> None:
        added = set(map(itemgetter(SEQ), self._rows))
        loaded = [row_of(event) for event in events]
        if loaded and not complete:
            self._floor = max(self._floor, _just_above(loaded[-1]))  # the store did not say whether it has a twin
        self._newest_loaded = max((event.seq for event in events), default=0)
        self._append(row for row in loaded if row[SEQ] not in added)
        self.loaded = True
        self._settle()

    def add(self, batch: EventBatch, rows: Rows, room: int) -> None:
        """Take in those of `rows` that reach the floor; the newest `room` of them at least, when they are very many."""
        if rows.first_seq <= self._newest_loaded:
            rows = rows.without(set(map(itemgetter(SEQ), self._rows)))
        if len(rows) > _SLACK * room:
            rows, floor = newest(batch, rows, room)
            self._floor = max(self._floor, floor)
        if self._floor != _BOTTOM:
            rows = rows.since(batch, self._floor[0])
        if not len(rows):
            return
        self._append(extract(batch, rows))
        if len(self._rows) > _SLACK * self._capacity or self.bytes > self._max_bytes:
            self._settle()

    def latest(self, limit: int) -> Sequence[StoredEvent] | None:
        self._settle()
        rows, view = self._rows, self._view
        if limit > len(rows) and self._floor != _BOTTOM:
            return None
        if len(view) < limit:
            view.extend(event_of(rows[-place]) for place in range(len(view) + 1, min(limit, len(rows)) + 1))
        return view[:limit]

    def _append(self, rows: Iterable[Row]) -> None:
        before = len(self._rows)
        self._rows.extend(rows)
        self.bytes += sum(map(itemgetter(SIZE), self._rows[before:]))
        self._settled = False
        self._view.clear()

    def _settle(self) -> None:
        """Sort, and drop what is below the floor or too much."""
        if self._settled:
            return
        self._rows.sort()
        dropped = len(self._rows) - self._affordable()
        if dropped:
            self._floor = max(self._floor, _just_above(self._rows[dropped - 1]))
        self._rows = self._rows[bisect_left(self._rows, self._floor) :]
        self.bytes = sum(map(itemgetter(SIZE), self._rows))
        self._settled = True

    def _affordable(self) -> int:
        """How many of the newest rows there is room for."""
        size = 0
        for count, row in enumerate(reversed(self._rows[-self._capacity :])):
            size += row[SIZE]
            if size > self._max_bytes:
                return count
        return min(self._capacity, len(self._rows))


def _just_above(row: Row) -> Key:
    time, id_hi, id_lo = row[:ID]
    return time, id_hi, id_lo + 1
