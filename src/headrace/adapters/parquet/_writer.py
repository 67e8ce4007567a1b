"""The Parquet file, in row groups of bounded size. All of pyarrow's work is done in threads."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.kit.ids import format_id
from headrace.model.event import LEVELS, Party, StoredEvent

_GATHERED_ROWS = 1_000  # for one turn in a thread, which costs 0.1 ms by itself
_GATHERED_BYTES = 4 * 1024 * 1024
_GROUP_ROWS = 50_000
_GROUP_BYTES = 32 * 1024 * 1024

_TIME = pa.timestamp("us", tz="UTC")
_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("time", _TIME, nullable=False),
        pa.field("received_at", _TIME, nullable=False),
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("level", pa.string(), nullable=False),
        *(
            pa.field(name, pa.string())
            for name in (
                "service", "action", "actor_id", "actor_type", "actor_name", "target_id", "target_type",
                "target_name", "outcome", "message", "trace_id", "span_id", "attributes",
            )
        ),
    ]
)  # fmt: skip
_NOBODY = Party(None)  # type: ignore[arg-type]  # a party all of whose columns are null


class ParquetWriter:
    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(self._sink, _SCHEMA, compression="zstd")
        self._gathered: list[StoredEvent] = []
        self._gathered_bytes = 0
        self._batches: list[Any] = []
        self._rows = 0
        self._bytes = 0

    async def write(self, events: Sequence[StoredEvent]) -> bytes:
        self._gathered += events
        self._gathered_bytes += sum([len(event.message or "") + len(event.attributes or "") for event in events])
        if len(self._gathered) >= _GATHERED_ROWS or self._gathered_bytes >= _GATHERED_BYTES:
            await asyncio.to_thread(self._write)
        return self._sink.taken()

    async def finish(self) -> bytes:
        await asyncio.to_thread(self._finish)
        return self._sink.taken()

    def _write(self) -> None:
        batch = _batch(self._gathered, self._bucket)
        self._gathered, self._gathered_bytes = [], 0
        self._batches.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._write_group()

    def _finish(self) -> None:
        if self._gathered:
            self._write()
        if self._rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        self._writer.write_table(pa.Table.from_batches(self._batches, _SCHEMA), row_group_size=self._rows)
        self._batches, self._rows, self._bytes = [], 0, 0


class _Sink(io.RawIOBase):
    """A file that only grows; what was written is taken out of it piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, piece: Any, /) -> int:
        self._pieces.append(bytes(piece))
        self._size += len(self._pieces[-1])
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _batch(events: Sequence[StoredEvent], bucket: str) -> Any:
    actors = [event.actor or _NOBODY for event in events]
    targets = [event.target or _NOBODY for event in events]
    columns: list[Sequence[object]] = [
        [format_id(event.id) for event in events],
        [event.time for event in events],
        [event.received_at for event in events],
        [bucket] * len(events),
        [LEVELS[event.level] for event in events],
        [event.service for event in events],
        [event.action for event in events],
        [actor.id for actor in actors],
        [actor.type for actor in actors],
        [actor.name for actor in actors],
        [target.id for target in targets],
        [target.type for target in targets],
        [target.name for target in targets],
        [event.outcome for event in events],
        [event.message for event in events],
        [event.trace_id for event in events],
        [event.span_id for event in events],
        [event.attributes for event in events],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)
