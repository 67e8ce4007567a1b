"""EventFilter → SQL. Every value is a bound parameter; the SQL text depends only on which parts are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.adapters.duckdb.attributes import attribute_condition
from headrace.adapters.duckdb.words import word_condition
from headrace.kit.times import clamped
from headrace.model.query import ActionMatch, EventFilter, Position

Parameter = str | int | bytes | None


@dataclass(slots=True)
class Condition:
    """Parts joined by AND, and their parameters in order."""

    parts: list[str] = field(default_factory=list)
    params: list[Parameter] = field(default_factory=list)

    def add(self, sql: str, *params: Parameter) -> None:
        self.parts.append(sql)
        self.params.extend(params)

    def add_any(self, column: str, values: Sequence[Parameter]) -> None:
        if values:
            self.add(f"{column} IN ({', '.join('?' * len(values))})", *values)

    @property
    def sql(self) -> str:
        return " AND ".join(f"({part})" for part in self.parts) or "true"


def condition(bucket_id: int, wanted: EventFilter) -> Condition:
    """The events of a bucket that match, but for the time: `add_times` adds that."""
    result = Condition()
    result.add("bucket_id = ?", bucket_id)
    for level in wanted.nested():
        _add_parts(result, level)
    return result


def _add_parts(result: Condition, wanted: EventFilter) -> None:
    """What the filter itself asks for, its time and `within` left out."""
    result.add_any("level", wanted.levels)
    if wanted.min_level is not None:
        result.add("level >= ?", wanted.min_level)
    result.add_any("service", wanted.services)
    result.add_any("outcome", wanted.outcomes)
    result.add_any("actor_id", wanted.actors)
    result.add_any("target_id", wanted.targets)
    result.add_any("trace_id", wanted.trace_ids)
    _add_actions(result, wanted.actions)
    for match in wanted.attributes:
        result.add(*attribute_condition(match))
    _add_texts(result, wanted)


def add_times(result: Condition, since: int | None, until: int | None) -> Condition:
    """since ≤ time < until, in µs."""
    if since is not None:
        result.add("time >= make_timestamp(?::BIGINT)", clamped(since))
    if until is not None:
        result.add("time < make_timestamp(?::BIGINT)", clamped(until))
    return result


def add_position(result: Condition, after: Position, descending: bool) -> None:
    """Strictly beyond `after` in the order (time, id)."""
    sign = "<" if descending else ">"
    hi, lo = after.id >> 64, after.id & (1 << 64) - 1
    time = "make_timestamp(?::BIGINT)"
    result.add(f"time {sign}= {time}", clamped(after.time))  # alone, so that row groups are pruned by it
    result.add(
        f"time {sign} {time} OR id_hi {sign} ? OR (id_hi = ? AND id_lo {sign} ?)", clamped(after.time), hi, hi, lo
    )


def _add_actions(result: Condition, actions: Sequence[ActionMatch]) -> None:
    if actions:
        parts = ["starts_with(action, ?)" if action.prefix else "action = ?" for action in actions]
        result.add(" OR ".join(parts), *(action.text for action in actions))


def _add_texts(result: Condition, wanted: EventFilter) -> None:
    entries, params = [], list[Parameter]()
    for words in wanted.texts:
        conditions = [word_condition(word) for word in words]
        entries.append(" AND ".join(sql for sql, _ in conditions) or "true")
        params += [param for _, own in conditions for param in own]
    if entries:
        result.add(" OR ".join(f"({entry})" for entry in entries), *params)
