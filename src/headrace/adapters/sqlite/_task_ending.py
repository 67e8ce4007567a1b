"""Leases and how they end: beats, outcomes, the sweep. For the writer's thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.adapters.sqlite._task_book import Book, State, is_finished
from headrace.adapters.sqlite._task_rows import CANCELLED, COLUMNS, DEAD, FAILED, QUEUED, RUNNING, SCHEDULED, SUCCEEDED
from headrace.adapters.sqlite._task_words import add_words, outcome_text
from headrace.model.task import MAX_LEASE_SECONDS, Beat, Ending, Heard, Outcome, Swept, Task

_FORCE_US = 30 * 1_000_000  # after so long a task that was asked to stop is ended
_LONGEST_US = int(MAX_LEASE_SECONDS * 1_000_000)
_MOST = 1000  # changes of one sum in a sweep: 20 ms, for which others wait
_RAN_OUT = "the lease ran out: its worker is gone, or was too slow to renew it"
_GONE = "its worker is gone"

_BEAT = """UPDATE tasks SET leased_until = ?1, progress = coalesce(?2, progress)
    WHERE id = ?3 AND status = 2 AND lease = ?4 RETURNING id, cancel_at"""
_SUCCEED = f"""UPDATE tasks SET status = 3, shelf = 3, result = ?1, error = NULL, finished_at = ?2, leased_until = NULL,
        holder = NULL, cancel_at = NULL, call_back = CASE WHEN callback_url IS NOT NULL THEN 1 END
    WHERE id = ?3 AND status = 2 AND lease = ?4 RETURNING {COLUMNS}, seq"""  # noqa: S608 - constants
_DUE = "INDEXED BY tasks_due WHERE status = 0 AND run_at <= ? ORDER BY run_at LIMIT ?"
_RUN_OUT = "INDEXED BY tasks_leased WHERE status = 2 AND leased_until <= ? ORDER BY leased_until LIMIT ?"
_TOO_LONG = "UPDATE tasks INDEXED BY tasks_leased SET leased_until = ?1 WHERE status = 2 AND leased_until > ?1"
_STOPPING = "INDEXED BY tasks_stopping WHERE cancel_at <= ? AND status = 2 ORDER BY cancel_at LIMIT ?"
_HELD = "INDEXED BY tasks_leased WHERE status = 2 AND holder = ?"
_NEXT = f"""SELECT min(at) FROM (
    SELECT min(run_at) AS at FROM tasks INDEXED BY tasks_due WHERE status = 0
    UNION ALL SELECT min(leased_until) + ? FROM tasks INDEXED BY tasks_leased WHERE status = 2
    UNION ALL SELECT min(cancel_at) + {_FORCE_US} FROM tasks INDEXED BY tasks_stopping WHERE cancel_at IS NOT NULL)"""  # noqa: S608 - constants


def beat(book: Book, beats: Sequence[Beat], seconds: float, now: int) -> list[Heard]:
    """See the port."""
    until = now + int(seconds * 1e6)
    rows = [(until, one.progress, one.id.to_bytes(16), one.lease) for one in beats]
    heard: list[Heard] = []
    for one, row in zip(beats, rows, strict=True):
        found = book.execute(_BEAT, row).fetchone()
        held = Heard(one.id, held=False)
        heard.append(Heard(one.id, True, found[1] is not None, until) if found else held)
    return heard


def finish(book: Book, outcomes: Sequence[Outcome], now: int) -> list[Task | None]:
    """See the port. Success is one statement for each; the other endings look first what the task was."""
    rows = [
        (one.result, now, one.id.to_bytes(16), one.lease) for one in outcomes if one.ending is Ending.SUCCEEDED
    ]
    succeeded = {row[0]: row for row in book.executemany(_SUCCEED, rows)} if rows else {}
    words: list[tuple[int, str]] = []
    ended: list[Task | None] = []
    for one in outcomes:
        if one.ending is not Ending.SUCCEEDED:
            ended.append(_end(book, one, now))
            continue
        row = succeeded.pop(one.id.to_bytes(16), None)
        ended.append(None if row is None else _succeed(book, row, words))
    add_words(book.executemany, words)
    book.write_journal(now)
    return ended


def _succeed(book: Book, row: tuple[Any, ...], words: list[tuple[int, str]]) -> Task:
    lane, seq = book.lanes.by_number[row[1]], row[-1]
    task = book.task(row[:-1])
    book.lanes.count(lane, RUNNING, -1)
    book.lanes.count(lane, SUCCEEDED, 1)
    book.told(task.id, lane, SUCCEEDED, task.attempt)
    if task.concurrency_key is not None:
        book.let_one_run(row[15])
    if task.attempt > 1:  # the error of an attempt before may be there
        book.remove_words(2 * seq + 1)
    if task.result is not None:
        words.append((2 * seq + 1, outcome_text(task.result, None)))
    return task


def _end(book: Book, outcome: Outcome, now: int) -> Task | None:
    state = book.state(outcome.id)
    if state is None or state.status != RUNNING or state.lease != outcome.lease:
        return None
    if outcome.ending is Ending.FAILED:
        end(book, state, FAILED, now, outcome.error)
    elif outcome.ending is Ending.CANCELLED or state.cancel_at is not None:
        end(book, state, CANCELLED, now, outcome.error)
    elif outcome.ending is Ending.RELEASED:
        book.move(state, QUEUED, "released", attempt=max(0, state.attempt - 1))
    else:
        _try_again(book, state, outcome, now)
    return book.get(outcome.id)


def _try_again(book: Book, state: State, outcome: Outcome, now: int) -> None:
    if state.attempt >= state.max_attempts:
        end(book, state, DEAD, now, outcome.error)
        return
    ahead = outcome.retry_at is not None and outcome.retry_at > now
    status = SCHEDULED if ahead else QUEUED
    book.move(state, status, outcome.error, run_at=outcome.retry_at, error=outcome.error)
    _index_outcome(book, state, outcome.error)


def end(book: Book, state: State, status: int, now: int, error: str | None) -> None:
    """The task is finished, otherwise than by success."""
    columns: dict[str, object] = {} if error is None else {"error": error}  # else the last attempt's stays
    book.move(state, status, error, finished_at=now, **columns)
    book.execute("UPDATE tasks SET call_back = 1 WHERE seq = ? AND callback_url IS NOT NULL", (state.seq,))
    _index_outcome(book, state, error)


def _index_outcome(book: Book, state: State, error: str | None) -> None:
    if error is not None:
        if state.has_outcome:
            book.remove_words(2 * state.seq + 1)
        book.add_words(2 * state.seq + 1, outcome_text(None, error))


def sweep(book: Book, now: int, patience: int = 0) -> Swept:
    """See the port."""
    book.execute(_TOO_LONG, (now + _LONGEST_US,))
    due = list(book.states(_DUE, (now, _MOST)))
    for state in due:
        book.move(state, QUEUED)
    expired = list(book.states(_RUN_OUT, (now - patience, _MOST)))
    ended = [one for state in expired if (one := _expire(book, state, now, _RAN_OUT))]
    stopping = list(book.states(_STOPPING, (now - _FORCE_US, _MOST)))
    for state in stopping:
        end(book, state, CANCELLED, now, "it was asked to stop, and went on")
        ended.append(int.from_bytes(state.id))
    book.write_journal(now)
    return Swept(
        due=len(due), expired=len(expired), ended=tuple(ended), next_at=book.execute(_NEXT, (patience,)).get,
        more=max(len(due), len(expired), len(stopping)) == _MOST,
    )  # fmt: skip


def free(book: Book, holder: str, now: int) -> int:
    """See the port."""
    held = list(book.states(_HELD, (holder,)))
    for state in held:
        _expire(book, state, now, _GONE)
    book.write_journal(now)
    return len(held)


def _expire(book: Book, state: State, now: int, why: str) -> int | None:
    """Its lease ends without an outcome; the id if that finished the task."""
    status = CANCELLED if state.cancel_at is not None else DEAD if state.attempt >= state.max_attempts else QUEUED
    if not is_finished(status):
        book.move(state, QUEUED, why)
        return None
    end(book, state, status, now, why)
    return int.from_bytes(state.id)
