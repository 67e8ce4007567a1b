"""Adding tasks. For the writer's thread."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.adapters.sqlite._task_book import IS_BEHIND, Book
from headrace.adapters.sqlite._task_rows import QUEUED, SCHEDULED, encode_retry, owned
from headrace.adapters.sqlite._task_words import add_words, asked_text
from headrace.model.task import Added, NewTask

_ADD = f"""INSERT INTO tasks (
        seq, id, lane, status, shelf, priority, attempt, max_attempts, created_at, run_at, timeout, retry,
        idempotency_key, concurrency_key, fingerprint, callback_url, args, behind)
    VALUES (?1, ?2, ?3, ?4, ?4, ?5, 0, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
        ?4 = 1 AND ?12 IS NOT NULL AND {IS_BEHIND.format(key="?12", lane="?3")})
    ON CONFLICT DO NOTHING RETURNING seq, behind"""  # noqa: S608 - constants
_FIRST = """SELECT id, fingerprint FROM tasks WHERE id = ?1
    UNION ALL SELECT id, fingerprint FROM tasks WHERE idempotency_key = ?2 LIMIT 1"""

Row = tuple[int, bytes, int, int, int, int, int, int | None, float | None, bytes | None, str | None, str | None, bytes,
            str | None, bytes]  # fmt: skip


def add(book: Book, tasks: Sequence[NewTask], now: int) -> list[Added]:
    """See the port. Those that the file refuses, by id or key, were there before."""
    rows = [_row(book, task, book.next_seq + at, now) for at, task in enumerate(tasks)]
    book.next_seq += len(rows)
    made = dict(book.executemany(_ADD, rows)) if rows else {}
    added: list[Added] = []
    words: list[tuple[int, str]] = []
    for task, row in zip(tasks, rows, strict=True):
        behind = made.get(row[0])
        if behind is None:
            added.append(_first(book, row))
            continue
        lane = book.lanes.by_number[row[2]]
        book.lanes.count(lane, row[3], 1, behind)
        book.told(task.id, lane, row[3], 0)
        words.append((2 * row[0], asked_text(task.type, task.args)))
        added.append(Added(task.id, is_new=True, fingerprint=task.fingerprint))
    add_words(book.executemany, words)
    book.write_journal(now)
    return added


def _row(book: Book, task: NewTask, seq: int, now: int) -> Row:
    status = SCHEDULED if task.run_at is not None and task.run_at > now else QUEUED
    lane = book.lane(task.queue, task.type, task.owner)
    retry = None if task.retry is None else encode_retry(task.retry)
    return (
        seq, task.id.to_bytes(16), lane.number, status, task.priority, task.max_attempts, task.created_at, task.run_at,
        task.timeout, retry, owned(task.owner, task.idempotency_key), owned(task.owner, task.concurrency_key),
        task.fingerprint, task.callback_url, task.args,
    )  # fmt: skip


def _first(book: Book, row: Row) -> Added:
    found = book.execute(_FIRST, (row[1], row[10])).fetchone()
    assert found  # it has refused the task
    id_, fingerprint = found
    return Added(int.from_bytes(id_), is_new=False, fingerprint=fingerprint)
