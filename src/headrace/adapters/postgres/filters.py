"""EventFilter → SQL. Every value is a bound parameter; the SQL text depends only on which parts are given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

from headrace.adapters.postgres.attributes import attribute_condition
from headrace.adapters.postgres.schema import LONGEST_INDEXED, fits
from headrace.adapters.postgres.search_text import folded
from headrace.kit.times import clamped, to_datetime
from headrace.model.query import ActionMatch, EventFilter, Position, Word

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
        """The same for a column whose index leaves out long values."""
        self.add_any(column, values)
        if values and not any(_is_long(value) for value in values):
            self.add(fits(column))

    def add_either(self, entries: Sequence[Condition]) -> None:
        """Any of them, if there are any."""
        if entries:
            params = (param for entry in entries for param in entry.params)
            self.add(" OR ".join(f"({entry.sql})" for entry in entries), *params)

    @property
    def sql(self) -> str:
        return " AND ".join(f"({part})" for part in self.parts) or "true"


def condition(bucket_id: int, wanted: EventFilter) -> Condition:
    """The events of a bucket that match, but for the time: `add_times` adds that."""
    result = Condition()
    result.add("bucket_id = %s", bucket_id)
    for level in wanted.nested():
        _add_parts(result, level)
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
    result.add_either([_words(words) for words in wanted.texts])


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


def _add_actions(result: Condition, actions: Sequence[ActionMatch]) -> None:
    entries = [_beginning(action.text) for action in actions if action.prefix]
    if exact := [action.text for action in actions if not action.prefix]:
        entries.append(Condition())
        entries[-1].add_indexed("action", exact)
    result.add_either(entries)


def _beginning(prefix: str) -> Condition:
    """As a range, which the index serves: COLLATE "C" orders by code points."""
    part = Condition()
    part.add("action >= %s", prefix)
    if (end := _successor(prefix)) is not None:
        part.add("action < %s", end)
    if not _is_long(prefix):  # two indexes together have every action
        part.add(f"{fits('action')} OR octet_length(action) > {LONGEST_INDEXED}")
    return part


def _is_long(value: str) -> bool:
    return len(value.encode(errors="replace")) > LONGEST_INDEXED


def _successor(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`; None where there is none."""
    head = prefix.rstrip(chr(sys.maxunicode))
    if not head:
        return None
    point = ord(head[-1]) + 1
    return head[:-1] + chr(_SURROGATES.stop if point in _SURROGATES else point)


def _words(words: Sequence[Word]) -> Condition:
    result = Condition()
    for word in words:
        if word.text:  # no text is in each
            sign = "NOT LIKE" if word.negated else "LIKE"
            result.add(f"search {sign} %s", f"%{folded(word.text).translate(_LIKE)}%")
    return result
