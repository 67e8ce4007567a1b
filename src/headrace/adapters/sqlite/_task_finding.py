"""Lists of tasks. A filter by owner, type, queue and status names lanes and statuses; of each of these the newest are
read from an index. Words are looked up in the index of trigrams, and each hit is then looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from typing import Any

import apsw

from headrace.adapters.sqlite._task_reads import TASK, task
from headrace.adapters.sqlite._task_rows import NUMBER, RUNNING, STATUSES
from headrace.adapters.sqlite._task_words import asked_text, holds, match, outcome_text
from headrace.kit.text_case import lower
from headrace.model.task import SEARCHED_CHARS, Task, TaskFilter

_MOST_STREAMS = 20_000  # 3 µs each; with more, so many tasks match that they are found by going through all
_FEW = 2_000  # tasks of the lanes: they are looked at themselves, whatever the words
_LOOKED_AT = 50_000  # tasks that words may make a list look at: half a second
_MORE = 5_000  # hits looked at beyond those wanted: an id is made a moment before its task is added
_ALL = (0, 1 << 128)

_NEWEST = """SELECT id FROM tasks INDEXED BY tasks_by_lane
    WHERE lane = ? AND shelf = ? AND status = ? AND id >= ? AND id < ? AND created_at >= ? AND created_at < ?
    ORDER BY id DESC LIMIT ?"""
_RUNNING = """SELECT id, lane FROM tasks INDEXED BY tasks_leased
    WHERE status = 2 AND id >= ? AND id < ? AND created_at >= ? AND created_at < ?"""
_THROUGH_ALL = """SELECT id FROM tasks INDEXED BY tasks_by_id WHERE id >= ?1 AND id < ?2
    AND created_at >= ?3 AND created_at < ?4
    AND (?5 IS NULL OR status IN (SELECT value FROM json_each(?5)))
    AND (?6 IS NULL OR lane IN (SELECT value FROM json_each(?6))) ORDER BY id DESC"""
_TEXTS = f"t.args, substr(t.result, 1, {4 * SEARCHED_CHARS}), t.error"
_HITS = f"""SELECT t.id, t.lane, t.status, t.created_at, {_TEXTS}
    FROM words w CROSS JOIN tasks t ON t.seq = w.rowid / 2
    WHERE w.words MATCH ? ORDER BY w.rowid DESC"""  # noqa: S608 - constants
_ALL_TEXTS = f"""SELECT t.id, t.lane, t.status, t.created_at, {_TEXTS} FROM tasks t INDEXED BY tasks_by_id
    WHERE t.id >= ? AND t.id < ? ORDER BY t.id DESC"""  # noqa: S608 - constants
_ONE = f"SELECT t.lane, {_TEXTS} FROM tasks t WHERE t.id = ?"  # noqa: S608 - constants
_GET = f"{TASK} WHERE t.id = ?"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a list is asked for: ids from `low` to below `high`, made from `since` to before `until`."""

    low: bytes
    high: bytes
    since: int
    until: int
    streams: list[tuple[int, int]] | None
    """Lanes and statuses; None: all there are."""
    types: dict[int, str]
    """Of the lanes."""
    total: int
    """How many tasks are in them."""
    words: tuple[str, ...]


def find(
    reader: apsw.Connection, filter: TaskFilter, limit: int, before: int | None, offset: int
) -> list[Task]:
    """See the port."""
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
    streams, types, total = _streams(reader, filter)
    return _Asked(
        low.to_bytes(17)[-16:], (high if high < _ALL[1] else high - 1).to_bytes(17)[-16:],
        -(2**62) if filter.since is None else filter.since, 2**62 if filter.until is None else filter.until,
        streams, types, total, tuple(map(lower, filter.q)),
    )  # fmt: skip


def _streams(reader: apsw.Connection, filter: TaskFilter) -> tuple[list[tuple[int, int]] | None, dict[int, str], int]:
    statuses = filter.statuses or STATUSES
    everything = not (filter.owner is not None or filter.types or filter.queues or filter.statuses)
    if everything and not filter.q:
        return None, {}, -1
    where, values = _lanes(filter)
    sql = f"SELECT lane, type, {', '.join(status.value for status in statuses)} FROM lanes WHERE {where}"  # noqa: S608 - names of columns
    streams: list[tuple[int, int]] = []
    types: dict[int, str] = {}
    total = 0
    for lane, kind, *counts in reader.execute(sql, values):
        for status, count in zip(statuses, counts, strict=True):
            if count:
                types[lane] = kind
                streams.append((lane, NUMBER[status]))
                total += count
    return streams, types, total


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
    found = _running(reader, asked)
    low = asked.low
    for lane, status in asked.streams:
        if status == RUNNING:
            continue
        values = (lane, status, status, low, asked.high, asked.since, asked.until, count)
        found += [row[0] for row in reader.execute(_NEWEST, values)]
        if len(found) >= count and count < asked.total:
            found = nlargest(count, found)
            low = max(low, found[-1])  # what is older than all of these is not wanted
    return sorted(found, reverse=True)[:count]


def _running(reader: apsw.Connection, asked: _Asked) -> list[bytes]:
    """Of the lanes asked for; they are few, wherever they are."""
    lanes = {lane for lane, status in asked.streams or () if status == RUNNING}
    values = (asked.low, asked.high, asked.since, asked.until)
    return [id_ for id_, lane in reader.execute(_RUNNING, values) if lane in lanes] if lanes else []


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
    if asked.total <= (_FEW if query else _LOOKED_AT):
        candidates = _newest(reader, asked, asked.total)
        return list(islice((id_ for id_ in candidates if _holds(reader, asked, id_)), count))
    if query is None:
        return _look(asked, reader.execute(_ALL_TEXTS, (asked.low, asked.high)), count, 0)
    return _look(asked, reader.execute(_HITS, (query,)), count, _MORE)


def _look(asked: _Asked, rows: Iterable[tuple[Any, ...]], count: int, more: int) -> list[bytes]:
    """Hits come in the order in which they were added, which is nearly that of their ids: some `more` than are wanted
    are looked at."""
    streams = frozenset(asked.streams or ())
    found: dict[bytes, None] = {}
    low, left = asked.low, _LOOKED_AT
    for id_, lane, status, created_at, *texts in rows:
        fits = (lane, status) in streams and low <= id_ < asked.high and asked.since <= created_at < asked.until
        if fits and id_ not in found and _hold(asked, lane, *texts):
            found[id_] = None
            if len(found) >= count:
                low = nlargest(count, found)[-1]
                left = min(left, more)
        left -= 1
        if left <= 0:
            break
    return nlargest(count, found)


def _holds(reader: apsw.Connection, asked: _Asked, id_: bytes) -> bool:
    row = reader.execute(_ONE, (id_,)).fetchone()
    return row is not None and _hold(asked, *row)


def _hold(asked: _Asked, lane: int, args: bytes, result: bytes | None, error: str | None) -> bool:
    """Whether the task has all the words."""
    return holds(asked.words, (asked_text(asked.types[lane], args), outcome_text(result, error)))
