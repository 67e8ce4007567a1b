"""From the columns of an EventBatch to the rows of a binary COPY. Runs in a thread, a slice at a time."""

from __future__ import annotations

import json
import re
import time
from array import array
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from headrace.adapters.postgres.schema import COLUMNS
from headrace.adapters.postgres.search_text import joined
from headrace.errors import Poison
from headrace.kit.times import to_datetime
from headrace.model.event import EventBatch

Row: TypeAlias = tuple[Any, ...]

NAMES = ", ".join(name for name, _ in COLUMNS)
TYPES = [kind.split()[0].replace("integer", "int4") for _, kind in COLUMNS]

_HOLD = 0.0005  # seconds that this thread may keep the GIL while the event loop waits for it
_BREATH = 20e-6
_STEP = 64  # rows between two looks at the clock
_DEEP = 1_000  # brackets; PostgreSQL's parser of JSON has a stack, and we stay far from its end
_SCALAR = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|(-?[0-9][-+.0-9eE]*|true|false)', re.DOTALL)
_ABSURD = re.compile(r"[eE][-+]?[0-9]{4}|[-+.0-9eE]{1000}")  # jsonb's numbers end at 10^131072


def rows_of(batch: EventBatch, kept: Sequence[int] | None = None) -> list[Row]:
    """The rows `kept` (or all), without their seq. Raises Poison for what is no UTF-8 or fits no column."""
    try:
        array("i", batch.bucket_id)  # else COPY would take the lower 32 bits of a larger number
        return list(_rows(batch, range(len(batch)) if kept is None else kept))
    except (UnicodeError, OverflowError, ValueError, TypeError) as exc:
        raise Poison(f"cannot be stored: {exc}") from exc


def _rows(batch: EventBatch, places: Sequence[int]) -> Iterator[Row]:
    since = time.perf_counter()
    for count, at in enumerate(places):
        if count % _STEP == 0 and time.perf_counter() - since > _HOLD:
            time.sleep(_BREATH)
            since = time.perf_counter()
        raw = batch.attributes[at]
        attributes = None if raw is None else raw.decode()
        search, indexable = searched(batch.message[at], attributes)
        yield (
            batch.bucket_id[at], UUID(int=batch.id_hi[at] << 64 | batch.id_lo[at]), batch.time[at],
            to_datetime(batch.received_at[at]), batch.level[at], batch.service[at], batch.action[at],
            batch.actor_id[at], batch.actor_type[at], batch.actor_name[at],
            batch.target_id[at], batch.target_type[at], batch.target_name[at],
            batch.outcome[at], batch.message[at], attributes, batch.trace_id[at], batch.span_id[at], search, indexable,
        )  # fmt: skip


def searched(message: str | None, attributes: str | None) -> tuple[str, bool]:
    """What `q` looks through (see schema), and whether the attributes can be cast to jsonb."""
    parts = [] if message is None else [message]
    indexable = True
    if attributes is not None:
        indexable = attributes.count("{") + attributes.count("[") <= _DEEP
        for text, key, literal in _SCALAR.findall(attributes):
            if literal:
                parts.append(literal)
                indexable = indexable and not _ABSURD.search(literal)
                continue
            value = _unescaped(text) if "\\" in text else text
            indexable = indexable and value is not None
            if not key:
                parts.append(text if value is None else value)
    return joined(parts), indexable


def _unescaped(text: str) -> str | None:
    """None for what is refused at the door, since the server has no such text: NUL, and half a surrogate pair."""
    try:
        value: str = json.loads(f'"{text}"', strict=False)
        value.encode()
    except (ValueError, UnicodeError):
        return None
    return None if "\0" in value else value
