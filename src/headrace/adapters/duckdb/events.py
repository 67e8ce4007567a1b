"""The event store in one DuckDB file: one thread writes, a few read, and the event loop waits for none of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

from headrace.adapters.duckdb import reads
from headrace.adapters.duckdb.backup import copy_file
from headrace.adapters.duckdb.counters import Counters
from headrace.adapters.duckdb.database import Database, DuckDBOptions
from headrace.adapters.duckdb.faults import Broken, writing
from headrace.adapters.duckdb.known_ids import KnownIds
from headrace.adapters.duckdb.loading import load_known_ids
from headrace.adapters.duckdb.readers import Readers, Session
from headrace.adapters.duckdb.writer import Writer
from headrace.errors import Unavailable
from headrace.model.bucket import BucketStats
from headrace.model.event import EventBatch, StoredEvent, Written
from headrace.model.query import EVERYTHING, EventFilter, FacetValue, GroupField, HistogramBar, Search
from headrace.ports.clock import Clock

__all__ = ["DuckDBEvents", "DuckDBOptions"]

T = TypeVar("T")

_SLACK = 50_000  # positions by which the counts may be behind when they only choose where to search first


class DuckDBEvents:
    """Implements ports/events.py. Used from one event loop."""

    def __init__(self, options: DuckDBOptions, clock: Clock) -> None:
        """Use `open`."""
        self._options = options
        self._clock = clock
        self._database = Database(options)
        self._writer = Writer(self._database)
        self._counters = Counters()
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="duckdb-write")
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="duckdb-load")
        self._readers = Readers(
            self._database.cursor, running=options.max_reads, waiting=options.max_waiting, timeout=options.query_timeout
        )
        self._known: Future[KnownIds] = Future()
        self._loader: Session | None = None
        self._healing = asyncio.Lock()
        self._backing_up = asyncio.Lock()
        self._broken = False
        self._closed = False

    @classmethod
    async def open(cls, options: DuckDBOptions, clock: Clock) -> DuckDBEvents:
        """Open the file, or make it. Raises NewerFormat, DirectoryLocked, Unusable or Unavailable."""
        store = cls(options, clock)
        await asyncio.get_running_loop().run_in_executor(store._writing, store._open)
        return store

    async def write(self, batch: EventBatch) -> Written:
        return await self._change(lambda: self._writer.write(batch, self._known, self._clock.now()))

    async def check(self, batch: EventBatch) -> None:
        await self._change(lambda: self._writer.check(batch))

    async def stored_blocks(self, block_ids: Iterable[int], bucket_id: int) -> frozenset[int]:
        ids = list(block_ids)
        return await self._change(lambda: self._writer.stored_blocks(ids, bucket_id))

    async def search(self, search: Search) -> Sequence[StoredEvent]:
        return await self._read(
            lambda session: reads.search(session, search, self._stats(session, search.bucket_id, _SLACK))
        )

    async def get(self, bucket_id: int, event_id: int, filter: EventFilter = EVERYTHING) -> StoredEvent | None:
        return await self._read(lambda session: reads.get(session, bucket_id, event_id, filter))

    async def histogram(
        self, bucket_id: int, filter: EventFilter, interval: int, by: GroupField | None
    ) -> Sequence[HistogramBar]:
        return await self._read(lambda session: reads.histogram(session, bucket_id, filter, interval, by))

    async def time_range(self, bucket_id: int, filter: EventFilter) -> tuple[int, int] | None:
        return await self._read(lambda session: reads.time_range(session, bucket_id, filter))

    async def facets(
        self, bucket_id: int, filter: EventFilter, fields: Sequence[str], limit: int
    ) -> dict[str, list[FacetValue]]:
        return await self._read(lambda session: reads.facets(session, bucket_id, filter, fields, limit))

    async def after(
        self, bucket_id: int, filter: EventFilter, seq: int, limit: int
    ) -> tuple[Sequence[StoredEvent], int]:
        last_seq = self._writer.last_seq
        return await self._read(lambda session: reads.after(session, bucket_id, filter, seq, last_seq, limit))

    async def last_seq(self, bucket_id: int) -> int:  # noqa: ARG002 - one file, one row of positions
        return self._writer.last_seq

    async def latest(self, bucket_id: int, limit: int) -> Sequence[StoredEvent]:
        return await self.search(Search(bucket_id, EVERYTHING, limit=limit))

    async def bucket_stats(self, bucket_id: int) -> BucketStats:
        return await self._read(lambda session: self._stats(session, bucket_id))

    async def delete_before(self, bucket_id: int, time: int) -> int:
        return await self._delete(bucket_id, time)

    async def delete_bucket(self, bucket_id: int) -> int:
        return await self._delete(bucket_id, None)

    async def forget(self, blocks_before: int, ids_before: int) -> None:
        await self._change(lambda: self._forget(blocks_before, ids_before))

    async def size(self) -> tuple[int, int]:
        [(count,)] = await self._read(lambda session: session.rows("SELECT count(*) FROM events"))
        path = self._options.path
        return count, sum(part.stat().st_size for part in (path, Path(f"{path}.wal")) if part.exists())

    def trouble(self, bucket_id: int) -> str | None:  # noqa: ARG002 - the queue bridges it
        return None

    async def backup(self, directory: str) -> None:
        async with self._backing_up:
            await self._change(self._hold)
            try:
                await asyncio.to_thread(copy_file, self._options.path, Path(directory))
            except OSError as exc:
                raise Unavailable(f"cannot write the copy into {directory}: {exc}") from exc
            finally:
                await self._change(lambda: self._database.keep_log(False))

    async def close(self) -> None:
        self._closed = True
        await self._readers.close()
        await asyncio.get_running_loop().run_in_executor(self._writing, self._close)
        self._writing.shutdown()
        self._loading.shutdown()

    def _open(self) -> None:
        self._database.open()
        self._begin()

    def _reopen(self) -> None:
        self._writer.doubt()
        self._close()
        self._open()

    def _begin(self) -> None:
        self._writer.load()
        self._counters.reset()
        self._loader = Session(self._database.cursor())
        self._known = self._loading.submit(load_known_ids, self._loader, self._clock.now())

    def _close(self) -> None:
        """Every cursor has to go first: DuckDB would hand out the same, broken, instance again."""
        loader, self._loader = self._loader, None
        if loader is not None:
            while not self._known.done():
                loader.stop()
                wait([self._known], 0.05)
            loader.close()
        self._database.close()

    def _stats(self, session: Session, bucket_id: int, slack: int = 0) -> BucketStats:
        return self._counters.stats(session, bucket_id, self._writer.last_seq, slack)

    def _hold(self) -> None:
        with writing():
            self._database.checkpoint()
            self._database.keep_log(True)

    def _forget(self, blocks_before: int, ids_before: int) -> None:
        self._writer.forget(blocks_before, ids_before)
        self._known.result().forget(ids_before)

    async def _delete(self, bucket_id: int, before: int | None) -> int:
        """In slices, between which writes get their turn."""
        slices = self._writer.delete(bucket_id, before)
        total = 0
        while (count := await self._change(lambda: next(slices, None))) is not None:
            total += count
            self._counters.deleted(bucket_id)
        if total:
            await self._change(self._writer.free)
        return total

    async def _read(self, work: Callable[[Session], T]) -> T:
        await self._heal()
        try:
            return await self._readers.run(work)
        except Broken:
            self._broken = True
            raise

    async def _change(self, work: Callable[[], T]) -> T:
        await self._heal()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._writing, work)
        except Broken:
            self._broken = True
            raise

    async def _heal(self) -> None:
        """After an error that left the file's state in doubt, open it anew: it then has what was committed."""
        if self._closed:
            raise Unavailable("the event store is closed")
        if not self._broken:
            return
        async with self._healing:
            if self._broken:
                await self._readers.disconnect()
                await asyncio.get_running_loop().run_in_executor(self._writing, self._reopen)
                self._broken = False
