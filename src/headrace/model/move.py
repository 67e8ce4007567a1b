"""What is handed over when all data moves to another profile: pages with the positions that they had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

from headrace.model.event import EventBatch


class Memory(StrEnum):
    """What an event store remembers to store nothing twice."""

    BLOCKS = "blocks"
    """Ids of blocks that it has stored."""
    IDS = "ids"
    """Ids of events that clients chose."""


class Remembered(NamedTuple):
    """`length` consecutive ids from `id` on (a block: 1), seen in this bucket at a time in µs."""

    bucket_id: int
    id: int
    length: int
    at: int


@dataclass(frozen=True, slots=True)
class RememberedPage:
    """Everything up to the time `upto` (µs) that the page before did not have."""

    upto: int
    entries: Sequence[Remembered]


@dataclass(frozen=True, slots=True)
class EventPage:
    """The events with positions above `after`, up to the last of `seqs`: ascending, one for each row of `events`."""

    after: int
    seqs: Sequence[int]
    events: EventBatch

    @property
    def upto(self) -> int:
        return self.seqs[-1]


@dataclass(frozen=True, slots=True)
class TablePage:
    """Rows of one table of the control data, by the names of its columns."""

    table: str
    rows: Sequence[Mapping[str, Any]]  # Any: a value of whatever type the column has


@dataclass(frozen=True, slots=True)
class EventCounts:
    """What an event store holds. `days`: how many events each UTC day has."""

    last_seq: int
    buckets: Mapping[int, int]
    days: Mapping[date, int]
