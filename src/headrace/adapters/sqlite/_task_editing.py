"""What people do to tasks and queues: change, cancel, retry, delete. For the writer's thread."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.adapters.sqlite._task_book import Book, State, is_finished
from headrace.adapters.sqlite._task_ending import end
from headrace.adapters.sqlite._task_rows import CANCELLED, QUEUED, RETRIABLE, RUNNING, SCHEDULED, STATUSES
from headrace.adapters.sqlite._task_words import asked_text
from headrace.errors import Conflict
from headrace.kit.ids import format_id
from headrace.model.bucket import UNSET
from headrace.model.task import QueueChanges, Task, TaskChanges

_PURGED = 500  # of one call: 10 ms, for which others wait
_OLD = "INDEXED BY tasks_finished WHERE status >= 3 AND finished_at < ? ORDER BY finished_at LIMIT ?"


def change(book: Book, id: int, changes: TaskChanges, now: int) -> Task | None:
    """See the port."""
    state = book.state(id)
    if state is None:
        return None
    if state.status not in (SCHEDULED, QUEUED):
        raise Conflict(f"task {format_id(id)} is {STATUSES[state.status]}: only one that waits can be changed")
    columns = {name: value for name in ("args", "priority") if (value := getattr(changes, name)) is not UNSET}
    if columns:
        book.update(state.seq, **columns)
    if changes.args is not UNSET:
        book.remove_words(2 * state.seq)
        book.add_words(2 * state.seq, asked_text(state.lane.key[1], changes.args))
    if changes.run_at is not UNSET:
        _put_off(book, state, changes.run_at, now)
    book.write_journal(now)
    return book.get(id)


def _put_off(book: Book, state: State, run_at: int | None, now: int) -> None:
    status = SCHEDULED if run_at is not None and run_at > now else QUEUED
    if status == state.status:
        book.update(state.seq, run_at=run_at)
    else:
        book.move(state, status, run_at=run_at)


def cancel(book: Book, ids: Sequence[int], now: int) -> list[Task | None]:
    """See the port."""
    for one in ids:
        state = book.state(one)
        if state is None or is_finished(state.status):
            continue
        if state.status != RUNNING:
            end(book, state, CANCELLED, now, None)
        elif state.cancel_at is None:
            book.update(state.seq, cancel_at=now)
    book.write_journal(now)
    return [book.get(one) for one in ids]


def retry(book: Book, ids: Sequence[int], now: int) -> list[Task | None]:
    """See the port."""
    for one in ids:
        state = book.state(one)
        if state is None or state.status not in RETRIABLE:
            continue
        if state.has_outcome:
            book.remove_words(2 * state.seq + 1)
        book.move(
            state, QUEUED, "by hand", attempt=0, result=None, error=None, progress=None, run_at=None, started_at=None,
            finished_at=None, call_back=None,
        )  # fmt: skip
    book.write_journal(now)
    return [book.get(one) for one in ids]


def delete(book: Book, id: int) -> bool:
    """See the port."""
    state = book.state(id)
    if state is None:
        return False
    if not is_finished(state.status):
        raise Conflict(f"task {format_id(id)} is {STATUSES[state.status]}: cancel it first")
    book.remove([state])
    return True


def purge(book: Book, before: int) -> int:
    """See the port."""
    old = list(book.states(_OLD, (before, _PURGED)))
    book.remove(old)
    return len(old)


def change_queue(book: Book, name: str, changes: QueueChanges) -> None:
    """See the port."""
    queue = book.queue(name)
    queue.change(changes)
    book.save_queue(queue)
    book.lanes.news = True


def called_back(book: Book, ids: Sequence[int]) -> None:
    """See the port."""
    rows = [(one.to_bytes(16),) for one in ids]
    book.executemany("UPDATE tasks SET call_back = NULL WHERE id = ? AND call_back = 1", rows)


def forwarded(book: Book, seqs: Sequence[int]) -> None:
    """See the port."""
    book.executemany("DELETE FROM journal WHERE seq = ?", [(seq,) for seq in seqs])


def changed(record: msgspec.Struct) -> dict[str, object]:
    """What a record of changes names."""
    return {name: value for name in record.__struct_fields__ if (value := getattr(record, name)) is not UNSET}
