"""Lanes (one for each queue, type and owner) with their counts, in memory: which of them have something to claim, and
whose turn it is. The file has the same counts, written with the transaction that changed them.

A claim therefore looks at no task that it does not take: its cost does not depend on how many wait, nor where.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from operator import attrgetter

from headrace.adapters.sqlite._task_rows import QUEUED, RUNNING, Lane3
from headrace.model.bucket import UNSET
from headrace.model.task import QueueChanges

_MOST_GROUPS = 64  # looked at by one claim; the others have their turn in the next


@dataclass(slots=True, eq=False)
class Lane:
    """`key` is the queue, type and owner; `counts` are by status; `behind` of those queued wait for their key."""

    number: int
    key: Lane3
    counts: list[int] = field(default_factory=lambda: [0] * 7)
    behind: int = 0
    turn: int = 0

    @property
    def is_ready(self) -> bool:
        return self.counts[QUEUED] > self.behind


@dataclass(slots=True, eq=False)
class Queue:
    """A queue's settings, and what runs in it. `tokens` may be begun at once since `at` (µs)."""

    name: str
    paused: bool = False
    concurrency: int | None = None
    rate_limit: float | None = None
    running: int = 0
    tokens: float | None = None
    at: int = 0

    def room(self, now: int) -> float:
        """How many tasks may begin now."""
        if self.paused:
            return 0
        room = float("inf") if self.concurrency is None else max(0, self.concurrency - self.running)
        return room if self.rate_limit is None else min(room, self._refill(self.rate_limit, now))

    def begin(self, count: int) -> None:
        if self.tokens is not None:
            self.tokens -= count

    def change(self, changes: QueueChanges) -> None:
        if changes.paused is not UNSET:
            self.paused = changes.paused
        if changes.concurrency is not UNSET:
            self.concurrency = changes.concurrency
        if changes.rate_limit is not UNSET:
            self.rate_limit, self.tokens = changes.rate_limit, None

    def _refill(self, rate: float, now: int) -> int:
        """At most a second's worth (or one) is saved up; a clock that went back takes nothing away."""
        most = max(1.0, rate)
        passed = max(0, now - self.at)
        self.tokens = most if self.tokens is None else min(most, self.tokens + passed * rate / 1e6)
        self.at = now
        return int(self.tokens + 1e-9)


Group = dict[int, Lane]
"""The lanes of a queue and type that have something to claim, by number, whose turn comes first standing first."""


class Lanes:
    """All lanes and queues. `changed` are the lanes whose counts the file does not have yet, `news` says that something
    may have become claimable."""

    def __init__(self) -> None:
        self.by_key: dict[Lane3, Lane] = {}
        self.by_number: dict[int, Lane] = {}
        self.queues: dict[str, Queue] = {}
        self.changed: set[Lane] = set()
        self.news = False
        self._groups: dict[str, dict[str, Group]] = {}
        self._owners: dict[str, dict[int, Lane]] = {}
        self._turn = 0
        self._next = 1

    def load(self, number: int, key: Lane3, counts: list[int], behind: int) -> None:
        """A lane as the file has it."""
        lane = Lane(number, key, counts, behind)
        self._put(lane)
        self.queues[key[0]].running += counts[RUNNING]
        if lane.is_ready:
            self._line_up(lane)

    def lane(self, queue: str, type: str, owner: str) -> Lane:
        """The lane, made if there is none. Its queue must be there."""
        key = (queue, type, owner)
        found = self.by_key.get(key)
        if found is None:
            found = Lane(self._next, key)
            self._put(found)
            self.changed.add(found)
        return found

    def count(self, lane: Lane, status: int, by: int, behind: int = 0) -> None:
        """There are `by` more tasks in a status, and `behind` more of those queued wait for their key."""
        lane.counts[status] += by
        lane.behind += behind
        self.changed.add(lane)
        if status == QUEUED:
            self.news = self.news or by > behind
            self._see(lane)
        elif status == RUNNING:
            queue = self.queues[lane.key[0]]
            queue.running += by
            self.news = self.news or (by < 0 and queue.concurrency is not None)

    def forget(self, lane: Lane) -> None:
        """It holds no task any more."""
        del self.by_key[lane.key]
        del self.by_number[lane.number]
        del self._owners[lane.key[2]][lane.number]
        if not self._owners[lane.key[2]]:
            del self._owners[lane.key[2]]

    def served(self, lanes: Collection[Lane]) -> None:
        """These have had their turn."""
        for lane in lanes:
            group = self._group(lane)
            if group.pop(lane.number, None):
                self._line_up(lane)

    def wanted(self, queue: str | None, types: Collection[str] | None) -> list[Group]:
        """Groups of this queue (of any), of these types (of any), that have something to claim. A group that is looked
        at goes to the end of its line, so that all have their turn where there are more than a claim looks at."""
        found: list[Group] = []
        for one in [queue] if queue is not None else list(self._groups):
            by_type = self._groups.get(one, {})
            names = by_type if types is None else [name for name in types if name in by_type]
            for name in list(islice(names, _MOST_GROUPS - len(found))):
                found.append(by_type[name])
                if types is None and len(by_type) > _MOST_GROUPS:
                    by_type[name] = by_type.pop(name)
            if len(self._groups) > _MOST_GROUPS and by_type:
                self._groups[one] = self._groups.pop(one)
            if len(found) >= _MOST_GROUPS:
                break
        return found

    def of_owner(self, owner: str, queue: str | None, types: Collection[str] | None) -> Group:
        """This owner's lanes that have something to claim."""
        return {
            number: lane
            for number, lane in self._owners.get(owner, {}).items()
            if lane.is_ready and queue in (None, lane.key[0]) and (types is None or lane.key[1] in types)
        }

    @staticmethod
    def in_turn(groups: list[Group]) -> Iterator[Lane]:
        """The lanes of these groups, those that were not served longest first."""
        return merge(*(group.values() for group in groups), key=attrgetter("turn"))

    def _put(self, lane: Lane) -> None:
        self.by_key[lane.key] = self.by_number[lane.number] = lane
        self._owners.setdefault(lane.key[2], {})[lane.number] = lane
        self._next = max(self._next, lane.number + 1)

    def _group(self, lane: Lane) -> Group:
        return self._groups.get(lane.key[0], {}).get(lane.key[1], {})

    def _see(self, lane: Lane) -> None:
        group = self._group(lane)
        if lane.is_ready:
            if lane.number not in group:
                self._line_up(lane)
        elif group.pop(lane.number, None) and not group:
            del self._groups[lane.key[0]][lane.key[1]]
            if not self._groups[lane.key[0]]:
                del self._groups[lane.key[0]]

    def _line_up(self, lane: Lane) -> None:
        self._turn += 1
        lane.turn = self._turn
        self._groups.setdefault(lane.key[0], {}).setdefault(lane.key[1], {})[lane.number] = lane
