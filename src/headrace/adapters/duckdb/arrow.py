"""Columns of Python values into Arrow, a slice at a time. The only room that knows pyarrow.

Without pyarrow.compute (no cast, take or filter): importing it takes 11 MB and holds the GIL for 0.1 s.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import repeat
from operator import sub
from typing import Any

import pyarrow as pa

from headrace.adapters.duckdb.schema import EVENT_COLUMNS, STRINGS
from headrace.errors import Poison
from headrace.kit.times import EPOCH
from headrace.model.event import EventBatch

SLICE = 2048  # rows; one vector of DuckDB, and 0.1 ms of the GIL for a column of strings
_HOLD = 0.0005  # seconds that one thread may keep the GIL while others (the event loop) wait for it
_BREATH = 20e-6

_FIXED = {"q": pa.int64(), "Q": pa.uint64(), "I": pa.uint32()}


class Pace:
    """Lets other threads have the GIL in time: Python itself would let them wait for 5 ms."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    def breathe(self) -> None:
        """Call after every 0.1 ms of work."""
        if time.perf_counter() - self._since > _HOLD:
            time.sleep(_BREATH)
            self._since = time.perf_counter()


def slices(size: int) -> Iterator[slice]:
    """Slices of at most SLICE rows; between two, other threads get the GIL."""
    pace = Pace()
    for start in range(0, size, SLICE):
        yield slice(start, min(start + SLICE, size))
        pace.breathe()


def fixed(values: array[int]) -> Any:
    """An Arrow array on the memory of `values`, which must not grow while it lives."""
    return pa.Array.from_buffers(_FIXED[values.typecode], len(values), [None, pa.py_buffer(values)])


def table(**columns: array[int]) -> Any:
    """A table of plain numbers."""
    return pa.table({name: fixed(values) for name, values in columns.items()})


def events_table(batch: EventBatch, first_seq: int, kept: Sequence[int] | None) -> Any:
    """The rows `kept` (or all) of the batch in the order of EVENT_COLUMNS, with seq from `first_seq` on.

    None when there are no rows. Raises Poison when a value does not fit its column.
    """
    try:
        parts = list(_record_batches(batch, first_seq, kept))
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as exc:
        raise Poison(f"cannot be stored: {exc}") from exc
    return pa.Table.from_batches(parts) if parts else None


def _record_batches(batch: EventBatch, first_seq: int, kept: Sequence[int] | None) -> Iterator[Any]:
    names = [name for name, _ in EVENT_COLUMNS]
    columns = [(_converter(name), getattr(batch, name)) for name in names[1:]]
    pace = Pace()
    for part in slices(len(batch) if kept is None else len(kept)):
        arrays = [fixed(array("q", range(first_seq + part.start, first_seq + part.stop)))]
        rows = part if kept is None else kept[part]
        for convert, values in columns:
            arrays.append(convert(_picked(values, rows)))
            pace.breathe()
        yield pa.RecordBatch.from_arrays(arrays, names)


def _picked(values: Any, rows: slice | Sequence[int]) -> Any:
    """These rows of a column, in the column's own type."""
    if isinstance(rows, slice):
        return values[rows]
    picked = [values[row] for row in rows]
    return array(values.typecode, picked) if isinstance(values, array) else picked


def _converter(name: str) -> Callable[[Any], Any]:
    """What makes the Arrow array of a slice of the column."""
    if name in ("bucket_id", "id_hi", "id_lo"):
        return fixed
    if name == "time":
        return _timestamps
    if name == "received_at":
        return lambda values: fixed(values).view(pa.timestamp("us"))
    if name == "attributes":
        return _json_texts
    kind = pa.string() if name in STRINGS else pa.uint8()
    return lambda values: pa.array(values, kind)


def _timestamps(values: Sequence[datetime]) -> Any:
    """By way of durations: 80 ns each, where datetimes with a time zone take 400."""
    since_1970 = list(map(sub, values, repeat(EPOCH)))
    return pa.array(since_1970, pa.duration("us")).view(pa.int64()).view(pa.timestamp("us"))


def _json_texts(values: Sequence[bytes | None]) -> Any:
    texts = pa.array(values, pa.binary()).view(pa.string())
    texts.validate(full=True)  # that it is UTF-8, before a transaction begins
    return texts
