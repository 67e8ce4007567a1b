"""Claiming: fair between owners, by priority within one. For the writer's thread."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import attrgetter

from headrace.adapters.sqlite._task_book import Book
from headrace.adapters.sqlite._task_lanes import Group, Lane
from headrace.adapters.sqlite._task_rows import COLUMNS, QUEUED, RUNNING
from headrace.model.task import Task, Wanted

_MOST_OWNERS = 32  # served by one claim; the others come first in the next
_MOST_LANES = 64  # of one owner
_READY = """SELECT -priority, id, seq, concurrency_key FROM tasks INDEXED BY tasks_ready
    WHERE lane = ? AND status = 1 AND behind = 0 ORDER BY priority DESC, id LIMIT ? OFFSET ?"""
_TAKE = f"""UPDATE tasks SET status = 2, attempt = attempt + 1, started_at = ?1, leased_until = ?2, holder = ?3,
        lease = ?4, cancel_at = NULL, progress = NULL
    WHERE seq = ?5 RETURNING {COLUMNS}"""  # noqa: S608 - constants

Ready = tuple[int, bytes, int, str | None]
"""The priority (negative: the highest is the least), the id, the seq and the concurrency key of a task."""


class _Pick:
    """What an owner has in the lanes of a claim, in the order in which it is run."""

    def __init__(self, book: Book, lanes: Sequence[Lane]) -> None:
        self._book = book
        self._waiting: list[tuple[Lane, Iterator[Ready]]] = [(lane, self._rows(lane)) for lane in lanes]
        self._heads: list[tuple[Ready, Lane, Iterator[Ready]]] = []

    def take(self, count: int, room: dict[str, float], keys: set[str]) -> list[tuple[int, Lane]]:
        """Up to so many more, as far as there is room in their queues: seqs and lanes. `keys` are taken."""
        taken: list[tuple[int, Lane]] = []
        heads = self._heads + [(row, lane, rows) for lane, rows in self._waiting if (row := next(rows, None))]
        self._waiting = []
        while heads and len(taken) < count:
            head = min(heads, key=_order) if len(heads) > 1 else heads[0]
            heads.remove(head)
            row, lane, rows = head
            if room[lane.key[0]] < 1:
                continue
            if row[3] is None or row[3] not in keys:
                room[lane.key[0]] -= 1
                taken.append((row[2], lane))
                if row[3] is not None:
                    keys.add(row[3])
            if following := next(rows, None):
                heads.append((following, lane, rows))
        self._heads = heads
        return taken

    def _rows(self, lane: Lane) -> Iterator[Ready]:
        size, offset = 8, 0
        while True:
            rows: list[Ready] = self._book.execute(_READY, (lane.number, size, offset)).fetchall()  # type: ignore[assignment]  # NOT NULL columns
            yield from rows
            if len(rows) < size:
                return
            offset += size
            size = min(256, 4 * size)


def claim(book: Book, wanted: Wanted, now: int) -> list[Task]:
    """See the port."""
    picked = _pick(book, wanted, now) if wanted.limit > 0 else []
    if not picked:
        return []
    until = now + int(wanted.seconds * 1e6)
    first, book.last_lease = book.last_lease + 1, book.last_lease + len(picked)
    book.execute("UPDATE leases SET last = ?", (book.last_lease,))
    rows = [(now, until, wanted.holder, first + at, seq) for at, (seq, _) in enumerate(picked)]
    tasks: list[Task] = []
    for row, (_, lane) in zip(book.executemany(_TAKE, rows), picked, strict=True):
        tasks.append(task := book.task(row))
        book.told(task.id, lane, RUNNING, task.attempt)
        if task.concurrency_key is not None:
            book.let_none_run(row[15])
    for lane, count in Counter(lane for _, lane in picked).items():
        book.lanes.count(lane, QUEUED, -count)
        book.lanes.count(lane, RUNNING, count)
        book.lanes.queues[lane.key[0]].begin(count)
    book.write_journal(now)
    return tasks


def _pick(book: Book, wanted: Wanted, now: int) -> list[tuple[int, Lane]]:
    """Seqs and lanes of the tasks to be claimed, in equal shares as far as there are as many. Whoever is looked at has
    had a turn."""
    room: dict[str, float] = {}
    keys: set[str] = set()
    owners = _owners(book, wanted, room, now)
    picks = [_Pick(book, lanes) for lanes in owners]
    picked: list[tuple[int, Lane]] = []
    while picks and (left := wanted.limit - len(picked)) > 0:
        share = max(1, left // len(picks))
        going: list[_Pick] = []
        for pick in picks:
            taken = pick.take(min(share, wanted.limit - len(picked)), room, keys)
            picked += taken
            if len(taken) == share:
                going.append(pick)
        picks = going
    for lanes in owners:
        book.lanes.served(lanes)
    return picked


def _owners(book: Book, wanted: Wanted, room: dict[str, float], now: int) -> list[list[Lane]]:
    """The lanes of each owner whose turn it is, where their queues have room (which is noted)."""
    lanes = book.lanes
    if wanted.owner is not None:
        ready = lanes.of_owner(wanted.owner, wanted.queue, wanted.types).values()
        mine = sorted((lane for lane in ready if _has_room(book, lane, room, now)), key=attrgetter("turn"))
        return [mine[:_MOST_LANES]] if mine else []
    groups = lanes.wanted(wanted.queue, wanted.types)
    groups = [group for group in groups if _has_room(book, _first(group), room, now)]
    return _served_next(book, groups, min(_MOST_OWNERS, wanted.limit))


def _has_room(book: Book, lane: Lane, room: dict[str, float], now: int) -> bool:
    name = lane.key[0]
    if name not in room:
        room[name] = book.lanes.queues[name].room(now)
    return room[name] >= 1


def _served_next(book: Book, groups: list[Group], most: int) -> list[list[Lane]]:
    owners: dict[str, None] = {}
    for lane in book.lanes.in_turn(groups):
        owners[lane.key[2]] = None
        if len(owners) == most:
            break
    kinds = [_first(group).key[:2] for group in groups]
    return [[lane for lane in _of(book, owner, kinds) if lane.is_ready] for owner in owners]


def _of(book: Book, owner: str, kinds: list[tuple[str, str]]) -> Iterator[Lane]:
    for queue, kind in kinds:
        lane = book.lanes.by_key.get((queue, kind, owner))
        if lane is not None:
            yield lane


def _first(group: Group) -> Lane:
    return next(iter(group.values()))


def _order(head: tuple[Ready, Lane, Iterator[Ready]]) -> tuple[int, bytes]:
    return head[0][:2]
