"""From the columns of an EventBatch to the bytes of a binary COPY.

They are made in a thread, a slice at a time; the event loop only puts in the positions, which are known under the
writers' lock, and sends them.
"""

from __future__ import annotations

import struct
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import Any, TypeAlias

from psycopg import adapters
from psycopg._copy_base import format_row_binary  # in C: 1.2 µs for each row, where write_row takes 3
from psycopg.adapt import Transformer
from psycopg.pq import Format

from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.rows import Y2K
from headrace.adapters.postgres.schema import COLUMNS
from headrace.adapters.postgres.search_text import searched
from headrace.errors import Poison
from headrace.kit.times import DAY
from headrace.model.event import EventBatch

COPY = f"COPY events ({', '.join(name for name, _ in COLUMNS)}) FROM STDIN (FORMAT BINARY)"

# What a UUID and a time are on the wire: 16 bytes, and µs since 2000. So neither becomes an object of its own.
_ON_THE_WIRE = {"uuid": "bytea", "timestamptz": "int8", "integer": "int4"}
_TYPES = [_ON_THE_WIRE.get(kind.split()[0], kind.split()[0]) for _, kind in COLUMNS]
_OIDS = [adapters.types.get_oid(kind) for kind in _TYPES]
_Y2K = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_HOLD = 0.0005  # seconds that this thread may keep the GIL while the event loop waits for it
_BREATH = 20e-6
_STEP = 64  # rows between two looks at the clock
_SENT = 256  # rows at once: 100 kB
_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # https://www.postgresql.org/docs/current/sql-copy.html
_TAIL = b"\xff\xff"
_SEQ_AT = 6  # after the number of columns, and the length of the first one
_pack_seq = struct.Struct("!q").pack_into
_pack_id = struct.Struct("!QQ").pack

Place: TypeAlias = tuple[int, int]
"""A bucket, and a day since 2000."""


@dataclass(slots=True)
class Rows:
    """Rows of a COPY, their seq still 0: row n lies in `encoded` from starts[n] to starts[n + 1]."""

    encoded: bytearray = field(default_factory=bytearray)
    starts: array[int] = field(default_factory=lambda: array("q", [0]))
    bucket_ids: Sequence[int] = ()
    times: array[int] = field(default_factory=lambda: array("q"))
    """µs since 2000."""

    def __len__(self) -> int:
        return len(self.starts) - 1


@dataclass(frozen=True, slots=True)
class Tally:
    """Of the rows of one bucket and day. Times are µs since 2000."""

    events: int
    oldest: int
    newest: int


def rows_of(batch: EventBatch) -> Rows:
    """Raises Poison for what is no UTF-8 or fits no column."""
    try:
        array("i", batch.bucket_id)  # else COPY would take the lower 32 bits of a larger number
        return _encoded(batch)
    except (UnicodeError, OverflowError, ValueError, TypeError, struct.error) as exc:
        raise Poison(f"cannot be stored: {exc}") from exc


def tally(rows: Rows, kept: Sequence[int] | None = None) -> dict[Place, Tally]:
    """What the rows, or those of them that are kept, add to the counts of their days; in order of bucket and day."""
    numbers = range(len(rows)) if kept is None else kept
    times: dict[Place, list[int]] = {}
    for number in numbers:
        at = rows.times[number]
        place = rows.bucket_ids[number], at // DAY
        try:
            times[place].append(at)
        except KeyError:
            times[place] = [at]
    return {place: Tally(len(each), min(each), max(each)) for place, each in sorted(times.items())}


async def copy_in(connection: Connection, rows: Rows, seqs: Sequence[int], kept: Sequence[int] | None = None) -> None:
    """The rows, or those of them that are kept, with these positions."""
    numbers = range(len(rows)) if kept is None else kept
    async with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        await copy.write(_HEAD)
        for start in range(0, len(numbers), _SENT):
            await copy.write(_numbered(rows, numbers[start : start + _SENT], seqs[start : start + _SENT]))
        await copy.write(_TAIL)


def _numbered(rows: Rows, numbers: Sequence[int], seqs: Sequence[int]) -> bytes:
    encoded, starts = rows.encoded, rows.starts
    for number, seq in zip(numbers, seqs, strict=True):
        _pack_seq(encoded, starts[number] + _SEQ_AT, seq)
    view = memoryview(encoded)
    return b"".join([view[starts[number] : starts[number + 1]] for number in numbers])


def _encoded(batch: EventBatch) -> Rows:
    rows = Rows(bucket_ids=batch.bucket_id)
    encoded, ends = rows.encoded, rows.starts
    transformer = Transformer()
    transformer.set_dumper_types(_OIDS, Format.BINARY)
    since = time.perf_counter()
    for start in range(0, len(batch), _STEP):
        if time.perf_counter() - since > _HOLD:
            time.sleep(_BREATH)
            since = time.perf_counter()
        part = slice(start, start + _STEP)
        times = [(at - _Y2K) // _MICROSECOND for at in batch.time[part]]
        rows.times.extend(times)
        for row in _values(batch, part, times):
            format_row_binary(row, transformer, encoded)
            ends.append(len(encoded))
    return rows


def _values(batch: EventBatch, part: slice, times: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """In the order of COLUMNS."""
    attributes = [None if raw is None else raw.decode() for raw in batch.attributes[part]]
    search, indexable = zip(*map(searched, batch.message[part], attributes), strict=True)
    return zip(
        repeat(0, len(times)), batch.bucket_id[part], map(_pack_id, batch.id_hi[part], batch.id_lo[part]), times,
        [at - Y2K for at in batch.received_at[part]], batch.level[part], batch.service[part], batch.action[part],
        batch.actor_id[part], batch.actor_type[part], batch.actor_name[part],
        batch.target_id[part], batch.target_type[part], batch.target_name[part],
        batch.outcome[part], batch.message[part], attributes, batch.trace_id[part], batch.span_id[part],
        search, indexable, strict=True,
    )  # fmt: skip
