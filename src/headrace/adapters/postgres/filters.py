"""EventFilter → SQL. Every value is a bound parameter; the SQL text depends only on which parts are given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from headrace.adapters.postgres.attributes import attribute_condition
from headrace.adapters.postgres.schema import INDEXED_LENGTH, indexed
from headrace.adapters.postgres.search_text import folded
from headrace.kit.times import LATEST, from_datetime, to_datetime
from headrace.model.query import ActionMatch, EventFilter, Position, Word

_LATEST = from_datetime(LATEST)
_LIKE = str.maketrans({"\\": r"\\", "%": r"\%", "_": r"\_"})
_SURROGATES = range(0xD800, 0xE000)  # no characters: none of them is in a text

Parameter: TypeAlias = object


@dataclass(slots=True)
class Condition:
    """Parts joined by AND, and their parameters in order."""

    parts: list[str] = field(default_factory=list)
    params: list[Parameter] = field(default_factory=list)

    def add(self, sql: str, *params: Parameter) -> None:
        self.parts.append(sql)
        self.params.extend(params)

    def add_any(self, column: str, values: Sequence[Parameter]) -> None:
        if len(values) == 1:  # keeps the order of an index that begins with the column
            self.add(f"{column} = %s", values[0])
        elif values:
            self.add(f"{column} = ANY(%s)", list(values))

    def add_indexed(self, column: str, values: Sequence[str]) -> None:
        """The same for a column of which the index has the beginning."""
        self.add_any(indexed(column), list(dict.fromkeys(value[:INDEXED_LENGTH] for value in values)))
        if any(len(value) >= INDEXED_LENGTH for value in values):
            self.add_any(column, values)

    @property
    def sql(self) -> str:
        return " AND ".join(f"({part})" for part in self.parts) or "true"


def condition(bucket_id: int, wanted: EventFilter) -> Condition:
    """The events of a bucket that match, but for the time: `add_times` adds that."""
    result = Condition()
    result.add("bucket_id = %s", bucket_id)
    level: EventFilter | None = wanted
    while level is not None:
        _add_parts(result, level)
        level = level.within
    return result


def _add_parts(result: Condition, wanted: EventFilter) -> None:
    """What the filter itself asks for, its time and `within` left out."""
    result.add_any("level", wanted.levels)
    if wanted.min_level is not None:
        result.add("level >= %s", wanted.min_level)
    result.add_any("service", wanted.services)
    result.add_any("outcome", wanted.outcomes)
    result.add_indexed("actor_id", wanted.actors)
    result.add_any("target_id", wanted.targets)
    result.add_indexed("trace_id", wanted.trace_ids)
    _add_actions(result, wanted.actions)
    for match in wanted.attributes:
        result.add(*attribute_condition(match))
    _add_texts(result, wanted)


def add_times(result: Condition, since: int | None, until: int | None) -> Condition:
    """since ≤ time < until, in µs."""
    if since is not None:
        result.add("time >= %s", to_datetime(clamped(since)))
    if until is not None:
        result.add("time < %s", to_datetime(clamped(until)))
    return result


def add_position(result: Condition, after: Position, descending: bool) -> None:
    """Strictly beyond `after` in the order (time, id)."""
    sign = "<" if descending else ">"
    result.add(f"(time, id) {sign} (%s, %s)", to_datetime(clamped(after.time)), UUID(int=after.id))


def is_selective(wanted: EventFilter) -> bool:
    """Whether anything but the time is asked for."""
    inner = wanted.within
    if inner is not None and is_selective(inner):
        return True
    return wanted != EventFilter(since=wanted.since, until=wanted.until, within=inner)


def clamped(time: int) -> int:
    return max(0, min(time, _LATEST))  # every event's time lies in between


def _add_actions(result: Condition, actions: Sequence[ActionMatch]) -> None:
    exact = [action.text for action in actions if not action.prefix]
    either = Condition()
    for action in actions:
        if action.prefix:
            part = _beginning(action.text)
            either.add(part.sql, *part.params)
    if exact:
        part = Condition()
        part.add_indexed("action", exact)
        either.add(part.sql, *part.params)
    if either.parts:
        result.add(" OR ".join(either.parts), *either.params)


def _beginning(prefix: str) -> Condition:
    """As a range, which the index serves: COLLATE "C" orders by code points."""
    part, head = Condition(), prefix[:INDEXED_LENGTH]
    part.add(f"{indexed('action')} >= %s", head)
    if (end := _successor(head)) is not None:
        part.add(f"{indexed('action')} < %s", end)
    if head != prefix:
        part.add("starts_with(action, %s)", prefix)
    return part


def _successor(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`; None where there is none."""
    head = prefix.rstrip(chr(sys.maxunicode))
    if not head:
        return None
    point = ord(head[-1]) + 1
    return head[:-1] + chr(_SURROGATES.stop if point in _SURROGATES else point)


def _add_texts(result: Condition, wanted: EventFilter) -> None:
    entries = [_words(words) for words in wanted.texts]
    if entries:
        result.add(
            " OR ".join(f"({entry.sql})" for entry in entries), *(param for entry in entries for param in entry.params)
        )


def _words(words: Sequence[Word]) -> Condition:
    result = Condition()
    for word in words:
        if word.text:  # no text is in each
            sign = "NOT LIKE" if word.negated else "LIKE"
            result.add(f"search {sign} %s", f"%{folded(word.text).translate(_LIKE)}%")
    return result
