"""What a change of the task table is written with: rows, counts, search words and journal, of one transaction.

For the writer's thread alone. Everything here raises apsw.Error; then the transaction is rolled back and the book
opened anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import apsw

from headrace.adapters.sqlite._task_lanes import Lane, Lanes, Queue
from headrace.adapters.sqlite._task_rows import COLUMNS, FIRST_FINISHED, QUEUED, RUNNING, STATUSES, task_of
from headrace.adapters.sqlite._task_words import add_words, remove_words
from headrace.kit.ids import uuid7
from headrace.model.task import Task
from headrace.model.task_journal import Change, Line, lines_of, logged

_LANES = """SELECT lane, queue, type, owner, scheduled, queued, running, succeeded, failed, dead, cancelled, behind
    FROM lanes"""
_SAVE_LANE = """INSERT INTO lanes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lane) DO UPDATE SET
    scheduled = excluded.scheduled, queued = excluded.queued, running = excluded.running,
    succeeded = excluded.succeeded, failed = excluded.failed, dead = excluded.dead, cancelled = excluded.cancelled,
    behind = excluded.behind"""
_SAVE_QUEUE = "INSERT OR REPLACE INTO queues (name, paused, concurrency, rate_limit) VALUES (?, ?, ?, ?)"
_GET = f"SELECT {COLUMNS} FROM tasks WHERE id = ?"  # noqa: S608 - constants
_NEXT_BEHIND = """SELECT seq FROM tasks INDEXED BY tasks_behind
    WHERE concurrency_key = ? AND lane = ? AND behind = 1 ORDER BY priority DESC, id LIMIT 1"""
_LANE_BEHIND = """SELECT lane FROM tasks INDEXED BY tasks_behind
    WHERE concurrency_key = ? AND lane > ? AND behind = 1 ORDER BY lane LIMIT 1"""
_STEP_BACK = """UPDATE tasks INDEXED BY tasks_in_front SET behind = 1
    WHERE concurrency_key = ? AND status = 1 AND behind = 0 RETURNING lane"""
_STEP_FORWARD = "UPDATE tasks SET behind = 0 WHERE seq = ?"
IS_BEHIND = """(
    EXISTS (SELECT 1 FROM tasks INDEXED BY tasks_running_of_key WHERE concurrency_key = {key} AND status = 2)
    OR EXISTS (SELECT 1 FROM tasks INDEXED BY tasks_in_front
        WHERE concurrency_key = {key} AND lane = {lane} AND status = 1 AND behind = 0))"""
_IS_BEHIND = "SELECT " + IS_BEHIND.format(key="?1", lane="?2")
_STATE = """SELECT seq, id, lane, status, behind, attempt, max_attempts, lease, cancel_at, concurrency_key,
    error IS NOT NULL OR result IS NOT NULL FROM tasks """


@dataclass(slots=True)
class State:
    """What decides how a task may go on. `has_outcome`: it has a result or an error."""

    seq: int
    id: bytes
    lane: Lane
    status: int
    behind: int
    attempt: int
    max_attempts: int
    lease: int
    cancel_at: int | None
    key: str | None
    has_outcome: int


class Book:
    """One connection, and what is known of the file in memory."""

    def __init__(self, connection: apsw.Connection) -> None:
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.lanes = Lanes()
        self._changes: list[Change] = []
        self._load()

    # --- reading -------------------------------------------------------------------------------------------------

    def get(self, id: int) -> Task | None:
        """The task as it is in this transaction."""
        row = self.execute(_GET, (id.to_bytes(16),)).fetchone()
        return self.task(row) if row else None

    def task(self, row: tuple[Any, ...]) -> Task:
        """Of a row of COLUMNS."""
        return task_of(row, self.lanes.by_number[row[1]].key)

    def state(self, id: int) -> State | None:
        """Of the task with this id."""
        return next(self.states("WHERE id = ?", (id.to_bytes(16),)), None)

    def states(self, where: str, values: Sequence[object]) -> Iterator[State]:
        """Of those that a clause finds."""
        by_number = self.lanes.by_number
        for seq, id_, lane, *rest in self.execute(_STATE + where, values):
            yield State(seq, id_, by_number[lane], *rest)

    # --- changing ------------------------------------------------------------------------------------------------

    def lane(self, queue: str, type: str, owner: str) -> Lane:
        """The lane; it and its queue are made if there are none."""
        self.queue(queue)
        return self.lanes.lane(queue, type, owner)

    def queue(self, name: str) -> Queue:
        """The queue, made if there is none."""
        found = self.lanes.queues.get(name)
        if found is None:
            found = self.lanes.queues[name] = Queue(name)
            self.save_queue(found)
        return found

    def save_queue(self, queue: Queue) -> None:
        self.execute(_SAVE_QUEUE, (queue.name, queue.paused, queue.concurrency, queue.rate_limit))

    def move(self, state: State, status: int, detail: str | None = None, **columns: object) -> None:
        """Bring a task into another status (but RUNNING), with these columns. Of its concurrency key others follow."""
        behind = int(status == QUEUED and self._is_behind(state))
        columns.update(status=status, shelf=status, behind=behind)
        if state.status == RUNNING:
            columns.update(holder=None, leased_until=None, cancel_at=None)
        self.execute(_update(*columns), (*columns.values(), state.seq))
        self.lanes.count(state.lane, state.status, -1, -state.behind)
        self.lanes.count(state.lane, status, 1, behind)
        self.tell(state, status, int(columns.get("attempt", state.attempt)), detail)  # type: ignore[call-overload]
        if state.status == RUNNING:
            self.let_one_run(state.key)
        elif state.status == QUEUED and not state.behind:
            self._step_forward(state.key, state.lane)

    def update(self, seq: int, **columns: object) -> None:
        """Set these columns, which decide nothing."""
        self.execute(_update(*columns), (*columns.values(), seq))

    def let_none_run(self, key: str) -> None:
        """One of this concurrency key runs now: those that were in front, each in its lane, are behind it."""
        stepped: list[Any] = self.execute(_STEP_BACK, (key,)).fetchall()
        for (lane,) in stepped:
            self.lanes.count(self.lanes.by_number[lane], QUEUED, 0, 1)

    def let_one_run(self, key: str | None) -> None:
        """None of this concurrency key runs any more: in each lane one may be claimed. Not in one lane alone, as that
        one's queue may be paused, or its type have no handler."""
        lane = 0
        while key is not None and (row := self.execute(_LANE_BEHIND, (key, lane)).fetchone()):
            lane = row[0]
            self._step_forward(key, self.lanes.by_number[lane])

    def remove(self, states: Sequence[State]) -> None:
        """Delete finished tasks, and lanes that have none left."""
        self.executemany("DELETE FROM tasks WHERE seq = ?", [(state.seq,) for state in states])
        remove_words(self.execute, [rowid for state in states for rowid in (2 * state.seq, 2 * state.seq + 1)])
        for state in states:
            self.lanes.count(state.lane, state.status, -1)

    def add_words(self, rowid: int, text: str) -> None:
        add_words(self.executemany, [(rowid, text)])

    def remove_words(self, *rowids: int) -> None:
        remove_words(self.execute, rowids)

    # --- the journal ---------------------------------------------------------------------------------------------

    def tell(self, state: State, status: int, attempt: int, detail: str | None = None) -> None:
        """A task has come into a status."""
        self.told(int.from_bytes(state.id), state.lane, status, attempt, detail)

    def told(self, id: int, lane: Lane, status: int, attempt: int, detail: str | None = None) -> None:
        queue, kind, owner = lane.key
        self._changes.append(Change(id, kind, queue, owner, STATUSES[status], attempt, detail))

    def write_journal(self, now: int) -> None:
        """What was told since the last time."""
        if self._changes:
            self._journal(now, len(self._changes), lines_of(self._changes, now))
            self._changes = []

    def log(self, lines: Sequence[Line]) -> None:
        if lines:
            self._journal(lines[0].time, len(lines), logged(lines))

    def flush(self) -> None:
        """The counts go into the file; before each commit."""
        lanes = self.lanes
        if not lanes.changed:
            return
        rows: list[tuple[object, ...]] = []
        for lane in lanes.changed:
            if any(lane.counts):
                rows.append((lane.number, *lane.key, *lane.counts, lane.behind))
            else:
                self.execute("DELETE FROM lanes WHERE lane = ?", (lane.number,))
                lanes.forget(lane)
        self.executemany(_SAVE_LANE, rows)
        lanes.changed.clear()

    def _journal(self, now: int, count: int, lines: bytes) -> None:
        self.execute(
            "INSERT INTO journal (time, count, first_id, lines) VALUES (?, ?, ?, ?)",
            (now, count, uuid7(now).to_bytes(16), lines),
        )

    def _step_forward(self, key: str | None, lane: Lane) -> None:
        """Nobody is in front of this concurrency key in this lane any more: the next one is."""
        row = None if key is None else self.execute(_NEXT_BEHIND, (key, lane.number)).fetchone()
        if row:
            self.execute(_STEP_FORWARD, row)
            self.lanes.count(lane, QUEUED, 0, -1)

    def _is_behind(self, state: State) -> bool:
        return state.key is not None and bool(self.execute(_IS_BEHIND, (state.key, state.lane.number)).get)

    def _load(self) -> None:
        for name, paused, concurrency, rate_limit in self.execute(
            "SELECT name, paused, concurrency, rate_limit FROM queues"
        ):
            self.lanes.queues[name] = Queue(name, bool(paused), concurrency, rate_limit)
        for number, queue, kind, owner, *counts, behind in self.execute(_LANES):
            self.lanes.load(number, (queue, kind, owner), counts, behind)
        self.next_seq: int = self.execute("SELECT coalesce(max(seq), 0) + 1 FROM tasks").get
        self.last_lease: int = self.execute("SELECT last FROM leases").get


def is_finished(status: int) -> bool:
    return status >= FIRST_FINISHED


@cache
def _update(*columns: str) -> str:
    return f"UPDATE tasks SET {', '.join(f'{name} = ?' for name in columns)} WHERE seq = ?"  # noqa: S608 - names that we wrote
