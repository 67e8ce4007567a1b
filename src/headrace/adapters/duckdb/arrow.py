"""Columns of Python values into Arrow, a slice at a time. The only room that knows pyarrow."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from headrace.adapters.duckdb.schema import EVENT_COLUMNS, STRINGS
from headrace.errors import Poison
from headrace.model.event import EventBatch

SLICE = 2048  # rows; one vector of DuckDB, and 0.1 ms of the GIL for a column of strings
_BREATH = 20e-6

_FIXED = {"q": pa.int64(), "Q": pa.uint64(), "I": pa.uint32()}


def slices(size: int) -> Iterator[slice]:
    """Slices of at most SLICE rows; between two, other threads (the event loop) get the GIL."""
    for start in range(0, size, SLICE):
        if start:
            time.sleep(_BREATH)
        yield slice(start, min(start + SLICE, size))


def fixed(values: array[int]) -> Any:
    """An Arrow array on the memory of `values`, which must not grow while it lives."""
    return pa.Array.from_buffers(_FIXED[values.typecode], len(values), [None, pa.py_buffer(values)])


def table(**columns: array[int]) -> Any:
    """A table of plain numbers."""
    return pa.table({name: fixed(values) for name, values in columns.items()})


def events_table(batch: EventBatch, first_seq: int, kept: Sequence[int] | None) -> Any:
    """The rows `kept` (or all) of the batch in the order of EVENT_COLUMNS, with seq from `first_seq` on.

    Raises Poison when a value does not fit its column.
    """
    if not len(batch):
        return None
    try:
        content = pa.Table.from_batches(list(_record_batches(batch)))
        if kept is not None:
            content = content.take(fixed(array("q", kept)))
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as exc:
        raise Poison(f"cannot be stored: {exc}") from exc
    seqs = [fixed(array("q", range(first_seq + part.start, first_seq + part.stop))) for part in slices(len(content))]
    return content.add_column(0, "seq", pa.chunked_array(seqs, pa.int64()))


def _record_batches(batch: EventBatch) -> Iterator[Any]:
    names = [name for name, _ in EVENT_COLUMNS if name != "seq"]
    columns = [_column(name, getattr(batch, name)) for name in names]
    for part in slices(len(batch)):
        yield pa.RecordBatch.from_arrays([column(part) for column in columns], names)


def _column(name: str, values: Any) -> Callable[[slice], Any]:
    """What makes the Arrow array of a slice of one column."""
    if isinstance(values, array):
        whole = fixed(values)
        return lambda part: whole.slice(part.start, part.stop - part.start)
    if name in ("time", "received_at"):
        return lambda part: pa.array(values[part], _UTC).view(_NAIVE)
    if name == "attributes":
        return lambda part: pa.array(values[part], pa.binary()).cast(pa.string())  # here UTF-8 is checked
    kind = pa.string() if name in STRINGS else pa.uint8()
    return lambda part: pa.array(values[part], kind)


_UTC, _NAIVE = pa.timestamp("us", "UTC"), pa.timestamp("us")
