"""Lists of tasks. A filter by owner, type, queue and status names lanes and statuses; of each of these the newest are
read from the index (lane, status, id). Words are looked up in the index of trigrams, and each hit is then looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice

import apsw

from headrace.adapters.sqlite._task_reads import TASK, task
from headrace.adapters.sqlite._task_rows import NUMBER, STATUSES
from headrace.adapters.sqlite._task_words import asked_text, holds, match, outcome_text
from headrace.kit.text_case import lower
from headrace.model.task import Task, TaskFilter

_MOST_STREAMS = 20_000  # 3 µs each; with more, so many tasks match that they are found by going through all
_FEW = 2_000  # tasks of the lanes: they are looked at themselves, whatever the words
_LOOKED_AT = 100_000  # tasks that words may make a list look at: a second
_BEFORE_ADDED_MS = 60_000  # an id is made at most so long before its task is added
_ALL = (0, 1 << 128)

_NEWEST = """SELECT id FROM tasks INDEXED BY tasks_by_lane
    WHERE lane = ? AND status = ? AND id >= ? AND id < ? ORDER BY id DESC LIMIT ?"""
_NEWEST_MADE = """SELECT id FROM tasks INDEXED BY tasks_by_lane
    WHERE lane = ? AND status = ? AND id >= ? AND id < ? AND created_at >= ? AND created_at < ? ORDER BY id DESC LIMIT ?"""
_THROUGH_ALL = """SELECT id FROM tasks INDEXED BY tasks_by_id WHERE id >= ?1 AND id < ?2
    AND created_at >= ?3 AND created_at < ?4
    AND (?5 IS NULL OR status IN (SELECT value FROM json_each(?5)))
    AND (?6 IS NULL OR lane IN (SELECT value FROM json_each(?6))) ORDER BY id DESC"""
_HITS = """SELECT t.id, t.lane, t.status, t.created_at FROM words w CROSS JOIN tasks t ON t.seq = w.rowid / 2
    WHERE w.words MATCH ? ORDER BY w.rowid DESC"""
_GET = f"{TASK} WHERE t.id = ?"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a list is asked for: ids from `low` to below `high`, made from `since` to before `until`."""

    low: bytes
    high: bytes
    since: int
    until: int
    made: bool
    """Whether the time that they were made matters beyond their ids."""
    streams: list[tuple[int, int]] | None
    """Lanes and statuses; None: all there are."""
    total: int
    """How many tasks are in them."""
    words: tuple[str, ...]


def find(
    reader: apsw.Connection, filter: TaskFilter, limit: int, before: int | None, offset: int
) -> list[Task]:
    """See the port."""
    with reader:
        asked = _ask(reader, filter, before)
        if asked.low >= asked.high or asked.total == 0 or limit <= 0:
            return []
        ids = _with_words(reader, asked, limit + offset) if asked.words else _newest(reader, asked, limit + offset)
        return [task(row) for id_ in ids[offset:] for row in reader.execute(_GET, (id_,))]


def _ask(reader: apsw.Connection, filter: TaskFilter, before: int | None) -> _Asked:
    low, high = _ALL
    if filter.since is not None:
        low = max(0, filter.since // 1000) << 80
    if filter.until is not None:
        high = min(high, (max(0, filter.until - 1) // 1000 + 1) << 80)
    if before is not None:
        high = min(high, before)
    streams, total = _streams(reader, filter)
    return _Asked(
        low.to_bytes(17)[-16:], (high if high < _ALL[1] else high - 1).to_bytes(17)[-16:],
        -(2**62) if filter.since is None else filter.since, 2**62 if filter.until is None else filter.until,
        filter.since is not None or filter.until is not None, streams, total, tuple(map(lower, filter.q)),
    )  # fmt: skip


def _streams(reader: apsw.Connection, filter: TaskFilter) -> tuple[list[tuple[int, int]] | None, int]:
    statuses = filter.statuses or STATUSES
    everything = not (filter.owner is not None or filter.types or filter.queues or filter.statuses)
    if everything and not filter.q:
        return None, -1
    where, values = _lanes(filter)
    sql = f"SELECT lane, {', '.join(status.value for status in statuses)} FROM lanes WHERE {where}"  # noqa: S608 - names of columns
    streams: list[tuple[int, int]] = []
    total = 0
    for lane, *counts in reader.execute(sql, values):
        for status, count in zip(statuses, counts, strict=True):
            if count:
                streams.append((lane, NUMBER[status]))
                total += count
    return streams, total


def _lanes(filter: TaskFilter) -> tuple[str, list[str]]:
    parts, values = ["1"], []
    if filter.owner is not None:
        parts.append("owner = ?")
        values.append(filter.owner)
    for name, wanted in (("type", filter.types), ("queue", filter.queues)):
        if wanted:
            parts.append(f"{name} IN ({', '.join('?' * len(wanted))})")
            values += wanted
    return " AND ".join(parts), values


def _newest(reader: apsw.Connection, asked: _Asked, count: int) -> list[bytes]:
    """The ids of the newest tasks, in order."""
    if asked.streams is None or len(asked.streams) > _MOST_STREAMS:
        return list(islice(_through_all(reader, asked), count))
    found: list[bytes] = []
    low = asked.low
    for lane, status in asked.streams:
        fresh = _stream(reader, asked, lane, status, low, count)
        if fresh:
            found = nlargest(count, found + fresh) if found else fresh
        if len(found) == count:
            low = max(low, found[-1])  # what is older than all of these is not wanted
    return found


def _stream(
    reader: apsw.Connection, asked: _Asked, lane: int, status: int, low: bytes, count: int
) -> list[bytes]:
    if asked.made:
        values = (lane, status, low, asked.high, asked.since, asked.until, count)
        return [row[0] for row in reader.execute(_NEWEST_MADE, values)]
    return [row[0] for row in reader.execute(_NEWEST, (lane, status, low, asked.high, count))]


def _through_all(reader: apsw.Connection, asked: _Asked) -> Iterator[bytes]:
    statuses = lanes = None
    if asked.streams is not None:
        statuses = json.dumps(sorted({status for _, status in asked.streams}))
        lanes = json.dumps(sorted({lane for lane, _ in asked.streams}))
    values = (asked.low, asked.high, asked.since, asked.until, statuses, lanes)
    for row in reader.execute(_THROUGH_ALL, values):
        yield row[0]


def _with_words(reader: apsw.Connection, asked: _Asked, count: int) -> list[bytes]:
    """The ids of the newest tasks that have all the words."""
    query = match(max(asked.words, key=len))
    if query is None or asked.total <= _FEW:
        candidates = _newest(reader, asked, min(asked.total, _LOOKED_AT))
        return list(islice((id_ for id_ in candidates if _holds(reader, id_, asked.words)), count))
    return _hits(reader, asked, query, count)


def _hits(reader: apsw.Connection, asked: _Asked, query: str, count: int) -> list[bytes]:
    """Hits come in the order in which they were added, which is nearly that of their ids: a little more than is wanted
    is looked at."""
    streams = frozenset(asked.streams or ())
    found: dict[bytes, None] = {}
    oldest_wanted = 0
    for id_, lane, status, created_at in islice(reader.execute(_HITS, (query,)), _LOOKED_AT):
        milliseconds = int.from_bytes(id_[:6])
        if milliseconds < oldest_wanted - _BEFORE_ADDED_MS:
            break
        fits = (lane, status) in streams and asked.low <= id_ < asked.high and asked.since <= created_at < asked.until
        if fits and id_ not in found and _holds(reader, id_, asked.words):
            found[id_] = None
            if len(found) == count:
                oldest_wanted = int.from_bytes(min(found)[:6])
    return nlargest(count, found)


def _holds(reader: apsw.Connection, id_: bytes, words: Sequence[str]) -> bool:
    one = task(reader.execute(_GET, (id_,)).fetchone())
    return holds(words, (asked_text(one.type, one.args), outcome_text(one.result, one.error)))
