"""The event store as what all data moves away from: opened to be read only, page by page in order of positions."""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator
from typing import Any, Self

from headrace.adapters.duckdb.arrow import SLICE
from headrace.adapters.duckdb.database import Database, DuckDBOptions
from headrace.adapters.duckdb.faults import reading
from headrace.adapters.duckdb.schema import STRINGS
from headrace.kit.times import to_datetime
from headrace.model.event import EventBatch
from headrace.model.move import EventCounts, EventPage, Memory, Remembered, RememberedPage

_ROWS = 20_000  # of a page
_BYTES = 32 << 20  # of its longest columns: an event may have 256 KiB
_NUMBERS = "seq, bucket_id, id_hi, id_lo, epoch_us(time) AS time, epoch_us(received_at) AS received_at, level"
_TEXTS = [name for name in STRINGS if name != "attributes"]
_WITHIN = "FROM events WHERE seq > ? AND seq <= ?"
_PAGE = f"SELECT {_NUMBERS}, encode(attributes) AS attributes, {', '.join(_TEXTS)} {_WITHIN} ORDER BY seq"
_SIZE = f"SELECT count(*), coalesce(sum(coalesce(strlen(attributes), 0) + coalesce(strlen(message), 0)), 0) {_WITHIN}"
_NEXT = "SELECT min(seq) FROM events WHERE seq > ?"
_LAST = "SELECT greatest(coalesce((SELECT max(seq) FROM events), 0), (SELECT value FROM meta WHERE key = 'seq_floor'))"
_BUCKETS = "SELECT bucket_id, count(*) FROM events GROUP BY 1"
_DAYS = "SELECT CAST(time AS DATE), count(*) FROM events GROUP BY 1"
# Whatever was stored by one write has one time: a page never ends among its entries.
_REMEMBERED = {
    Memory.BLOCKS: ("stored_blocks", "stored_at", "1"),
    Memory.IDS: ("client_ids", "seen_at", "n"),
}


class DuckDBMoveEvents:
    """`ports.move.EventsFrom`."""

    def __init__(self, options: DuckDBOptions) -> None:
        """`options` say `read_only`. Use `open`."""
        self._database = Database(options)

    @classmethod
    async def open(cls, options: DuckDBOptions) -> Self:
        """Raises NewerFormat, DirectoryLocked, Unusable or Unavailable."""
        store = cls(options)
        await asyncio.to_thread(store._database.open)
        return store

    async def counts(self) -> EventCounts:
        return await asyncio.to_thread(self._counts)

    async def pages(self, after: int) -> AsyncIterator[EventPage]:
        [(last,)] = await asyncio.to_thread(self._rows, _LAST)
        while after < last:
            page = await asyncio.to_thread(self._page, after, last)
            if page is None:
                return
            yield page
            after = page.upto

    async def remembered(self, memory: Memory, after: int) -> AsyncIterator[RememberedPage]:
        while page := await asyncio.to_thread(self._remembered, memory, after):
            yield page
            after = page.upto

    async def close(self) -> None:
        await asyncio.to_thread(self._database.close)

    def _rows(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        with reading():
            return self._database.connection.execute(sql, list(params)).fetchall()

    def _counts(self) -> EventCounts:
        [(last,)] = self._rows(_LAST)
        return EventCounts(last, dict(self._rows(_BUCKETS)), dict(self._rows(_DAYS)))

    def _page(self, after: int, last: int) -> EventPage | None:
        upto = self._end(after, last)
        if upto is None:
            return None
        columns: dict[str, list[Any]] = {}
        with reading():
            found = self._database.connection.sql(_PAGE, params=[after, upto])
            for part in found.to_arrow_reader(SLICE):
                for name, column in zip(part.schema.names, part.columns, strict=True):
                    columns.setdefault(name, []).extend(column.to_pylist())
        return EventPage(after, columns["seq"], _batch(columns))

    def _end(self, after: int, last: int) -> int | None:
        """How far a page may reach; None when nothing comes any more."""
        rows = _ROWS
        while True:
            count, size = self._rows(_SIZE, after, after + rows)[0]
            if count > 1 and size > _BYTES:
                rows //= 2
            elif count:
                return min(after + rows, last)
            else:  # a gap that deletes have left
                [(first,)] = self._rows(_NEXT, after)
                if first is None:
                    return None
                after, rows = first - 1, _ROWS

    def _remembered(self, memory: Memory, after: int) -> RememberedPage | None:
        table, at, length = _REMEMBERED[memory]
        ends = self._rows(
            f"SELECT max({at}) FROM (SELECT {at} FROM {table} WHERE {at} > ? ORDER BY {at} LIMIT {_ROWS})", after
        )
        if ends[0][0] is None:
            return None
        found = self._rows(
            f"SELECT bucket_id, id_hi, id_lo, {length}, {at} FROM {table} WHERE {at} > ? AND {at} <= ?",
            after,
            ends[0][0],
        )
        entries = [Remembered(bucket, hi << 64 | lo, many, seen) for bucket, hi, lo, many, seen in found]
        return RememberedPage(ends[0][0], entries)


def _batch(columns: dict[str, list[Any]]) -> EventBatch:
    batch = EventBatch(
        bucket_id=array("q", columns["bucket_id"]),
        id_hi=array("Q", columns["id_hi"]),
        id_lo=array("Q", columns["id_lo"]),
        time=list(map(to_datetime, columns["time"])),
        received_at=array("q", columns["received_at"]),
        level=columns["level"],
        attributes=columns["attributes"],
    )
    for name in _TEXTS:
        setattr(batch, name, columns[name])
    return batch
