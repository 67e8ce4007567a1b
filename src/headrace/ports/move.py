"""Both sides of a move of all data to another profile.

The side that data comes from is never changed. On the other side each page of events is stored in one transaction with
the position that was reached, and anything else at once, so that a move that was killed goes on where it was. `source`
names where the data comes from; dead letters move through their own port.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from typing import Protocol

from headrace.model.block import Block
from headrace.model.move import EventCounts, EventPage, Memory, RememberedPage, TablePage


class EventsFrom(Protocol):
    """An event store that nobody writes to. Raises Unavailable."""

    async def counts(self) -> EventCounts:
        """What there is."""

    def pages(self, after: int) -> AsyncIterator[EventPage]:
        """The events with a position above `after`, in order, in pages that fit into memory."""

    def remembered(self, memory: Memory, after: int) -> AsyncIterator[RememberedPage]:
        """What was seen later than `after` (µs), in order."""


class QueueFrom(Protocol):
    """A queue that nobody uses. Raises Unavailable."""

    async def count(self) -> int:
        """Blocks that wait."""

    def pages(self) -> AsyncIterator[Sequence[Block]]:
        """All of them, in order of their put, some megabytes at a time."""


class ControlFrom(Protocol):
    """Control data that nobody changes. Raises Unavailable."""

    async def source(self) -> str:
        """What tells this installation from all others. Raises Unusable when none has ever run here."""

    async def counts(self) -> Mapping[str, int]:
        """Rows by table."""

    async def highest(self) -> Mapping[str, int]:
        """By table the highest number that was ever given to a row, deleted ones included."""

    def pages(self) -> AsyncIterator[TablePage]:
        """All rows of all tables; what rows refer to comes before them."""


class Into(Protocol):
    """Where data moves to. Raises Conflict where data is that this move did not bring, and Unavailable."""

    async def look(self, source: str) -> None:
        """Raise Conflict unless it is empty, or what an unfinished move from `source` has left. Changes nothing."""


class EventsInto(Into, Protocol):
    async def begin(self, source: str, days: Mapping[date, int]) -> Mapping[str, int]:
        """From now on it belongs to this move, which brings so many events by day. The positions reached, for `events`
        and by Memory."""

    async def write(self, page: EventPage) -> None:
        """Store events under the positions they had."""

    async def remember(self, memory: Memory, page: RememberedPage) -> None:
        """Store what is remembered."""

    async def finish(self, last_seq: int) -> None:
        """No position up to `last_seq` is ever given again."""

    async def counts(self) -> Mapping[int, int]:
        """Events by bucket."""


class QueueInto(Into, Protocol):
    async def begin(self, source: str) -> None:
        """From now on it belongs to this move."""

    async def replace(self, pages: AsyncIterator[Sequence[Block]]) -> None:
        """Hold these blocks under the ids they had, and no other, in one transaction."""

    async def count(self) -> int:
        """Blocks that wait."""


class ControlInto(Into, Protocol):
    async def finished_at(self, source: str) -> int | None:
        """When a move from `source` was finished (µs); None when none was."""

    async def finish(
        self, source: str, pages: AsyncIterator[TablePage], highest: Mapping[str, int], secret: str | None
    ) -> None:
        """Everything in one transaction, with the note that the move is finished. `secret` seals what the rows hold."""

    async def counts(self) -> Mapping[str, int]:
        """Rows by table."""


class Watcher(Protocol):
    """Told how far the move is."""

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        """From now on it is about this; `done` of `total` were there before."""

    def advance(self, count: int) -> None:
        """So many more."""
