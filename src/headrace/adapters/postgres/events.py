"""One shard of events in PostgreSQL: writes take turns on connections of their own, reads have others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

from headrace.adapters.postgres import groups, reads, tails
from headrace.adapters.postgres.copies import Copies, Copy
from headrace.adapters.postgres.copying import Place, Rows, Tally, rows_of, tally
from headrace.adapters.postgres.database import BreakerOptions, Connection, Database
from headrace.adapters.postgres.deletes import Deleter
from headrace.adapters.postgres.layout import prepare
from headrace.adapters.postgres.partitions import Partitions
from headrace.adapters.postgres.readers import Readers
from headrace.adapters.postgres.schema import ID_PARTITIONS, LAYOUT
from headrace.adapters.postgres.turns import Turns
from headrace.adapters.postgres.writer import Prepared, events_by_day, try_out, write
from headrace.errors import Unsupported, Unusable
from headrace.kit.times import to_datetime
from headrace.model.bucket import BucketStats
from headrace.model.event import EventBatch, StoredEvent, Written
from headrace.model.query import EVERYTHING, EventFilter, FacetValue, GroupField, HistogramBar, Search
from headrace.ports.clock import Clock

P = ParamSpec("P")
T = TypeVar("T")

_WRITE_SECONDS = 90.0  # the longest write, its turn included; the statements in it have shorter limits
_CHANGE_SECONDS = 120.0
_ASK_SECONDS = 5.0
WRITERS = 3  # one writes, one deletes, one answers what is stored
_STORED = "SELECT DISTINCT block_id FROM stored_blocks WHERE block_id = ANY(%s) AND bucket_id = %s"
_CLAIM = "INSERT INTO event_shard VALUES (%s) ON CONFLICT DO NOTHING"
# One partition of the ids at a time: of all together there may be more than can be deleted before the time is up, and
# what is undone then is more the next time.
_FORGET = (
    "DELETE FROM stored_blocks WHERE stored_at < %(blocks)s",
    *(f"DELETE FROM event_ids_{part} WHERE seen_at < %(ids)s" for part in range(ID_PARTITIONS)),  # noqa: S608 - ours
    "DELETE FROM event_batches WHERE stored_at < %(now)s - interval '1 day'",
)


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """Times in seconds."""

    url: str
    name: str = "the event store"
    query_timeout: float = 30.0
    max_reads: int = 4
    max_waiting: int = 32
    """Reads that may wait for one of `max_reads` to end; beyond: Overloaded."""
    breaker: BreakerOptions = field(default_factory=BreakerOptions)
    migrate: bool = True
    replica_urls: tuple[str, ...] = ()
    replica_max_lag: float = 5.0
    number: int = 0
    """Which of several stores this is."""


class PostgresEvents:
    """Implements ports/events.py."""

    def __init__(self, options: PostgresOptions, clock: Clock) -> None:
        """Use `open`."""
        self._clock = clock
        self._writing = Database(options.url, clock, name=options.name, size=WRITERS, options=options.breaker)
        self._copies = _copies(options, self._writing, clock)
        self._turns = Turns(self._writing)
        self._partitions = Partitions(clock)
        self._deleter = Deleter(self._partitions)

    @classmethod
    async def open(cls, options: PostgresOptions, clock: Clock) -> PostgresEvents:
        """Connect, and make or bring up to date the tables. Raises NewerFormat, Unusable or Unavailable."""
        store = cls(options, clock)
        await store._writing.open()
        try:
            await prepare(store._writing, LAYOUT, migrate=options.migrate)
            await store._claim(options.number)
            await store._copies.open()
        except BaseException:
            await store.close()
            raise
        return store

    async def _claim(self, number: int) -> None:
        """Buckets are recorded with the number of their store, so that must stay what it was. Raises Unusable."""
        async with self._writing.changing(_ASK_SECONDS) as connection:
            await connection.execute(_CLAIM, (number,))
            [(found,)] = await (await connection.execute("SELECT number FROM event_shard")).fetchall()
        if found != number:
            raise Unusable(
                f"the database of shard {number} of the events was shard {found} before: give the URLs in their old "
                "order, and add new ones at the end"
            )

    async def write(self, batch: EventBatch) -> Written:
        rows, added = await asyncio.to_thread(_prepared, batch)
        async with self._writing.changing(_WRITE_SECONDS) as connection:
            await self._partitions.ensure(connection, events_by_day(added))
            return await write(connection, Prepared(batch, rows, added, self._clock.now()), self._turns)

    async def check(self, batch: EventBatch) -> None:
        rows = await asyncio.to_thread(rows_of, batch)
        async with self._writing.changing(_WRITE_SECONDS) as connection:
            await try_out(connection, rows)

    async def stored_blocks(self, block_ids: Iterable[int], bucket_id: int) -> frozenset[int]:
        wanted = [UUID(int=block) for block in block_ids]
        async with self._writing.asking(_ASK_SECONDS) as connection:
            found = await connection.execute(_STORED, (wanted, bucket_id))
            return frozenset(block.int for (block,) in await found.fetchall())

    async def search(self, search: Search) -> Sequence[StoredEvent]:
        return await self._read(search.filter.read_after, reads.search, search)

    async def get(self, bucket_id: int, event_id: int, filter: EventFilter = EVERYTHING) -> StoredEvent | None:
        return await self._read(filter.read_after, reads.get, bucket_id, event_id, filter)

    async def histogram(
        self, bucket_id: int, filter: EventFilter, interval: int, by: GroupField | None
    ) -> Sequence[HistogramBar]:
        return await self._read(filter.read_after, groups.histogram, bucket_id, filter, interval, by)

    async def time_range(self, bucket_id: int, filter: EventFilter) -> tuple[int, int] | None:
        return await self._read(filter.read_after, reads.time_range, bucket_id, filter)

    async def facets(
        self, bucket_id: int, filter: EventFilter, fields: Sequence[str], limit: int
    ) -> dict[str, list[FacetValue]]:
        return await self._read(filter.read_after, groups.facets, bucket_id, filter, fields, limit)

    async def after(
        self, bucket_id: int, filter: EventFilter, seq: int, limit: int
    ) -> tuple[Sequence[StoredEvent], int]:
        return await self._read(filter.read_after, tails.after, bucket_id, filter, seq, limit)

    async def last_seq(self, bucket_id: int) -> int:  # noqa: ARG002 - one shard, one row of positions
        return await self._copies.newest(tails.last_seq)

    async def latest(self, bucket_id: int, limit: int) -> Sequence[StoredEvent]:
        return await self.search(Search(bucket_id, EVERYTHING, limit=limit))

    async def bucket_stats(self, bucket_id: int) -> BucketStats:
        return await self._read(0, reads.bucket_stats, bucket_id)

    async def delete_before(self, bucket_id: int, time: int) -> int:
        return await self._delete(bucket_id, time)

    async def delete_bucket(self, bucket_id: int) -> int:
        return await self._delete(bucket_id, None)

    async def forget(self, blocks_before: int, ids_before: int) -> None:
        params = {
            "blocks": to_datetime(max(0, blocks_before)),
            "ids": to_datetime(max(0, ids_before)),
            "now": to_datetime(self._clock.now()),
        }
        for statement in _FORGET:
            async with self._writing.changing(_CHANGE_SECONDS) as connection:
                await connection.execute(statement, params)

    async def size(self) -> tuple[int, int]:
        return await self._read(0, reads.size)

    def trouble(self, bucket_id: int) -> str | None:  # noqa: ARG002 - the queue bridges it
        return None

    async def backup(self, directory: str) -> None:  # noqa: ARG002 - refused
        raise Unsupported("These events are on a database server: back it up with the server's own tools.")

    async def close(self) -> None:
        await self._copies.close()
        await self._writing.close()

    def lags(self) -> dict[str, float]:
        """How far each replica is behind, in seconds."""
        return self._copies.lags()

    async def _delete(self, bucket_id: int, before: int | None) -> int:
        total = 0
        while True:
            async with self._writing.changing(_CHANGE_SECONDS) as connection:
                gone = await self._deleter.delete(connection, bucket_id, before)
            if not gone:
                return total
            total += gone

    async def _read(
        self,
        read_after: int,
        work: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return await self._copies.run(lambda connection: work(connection, *args, **kwargs), read_after)


def _prepared(batch: EventBatch) -> tuple[Rows, dict[Place, Tally]]:
    rows = rows_of(batch)
    return rows, tally(rows)


def _copies(options: PostgresOptions, source: Database, clock: Clock) -> Copies:
    def readers_of(url: str, name: str) -> Copy:
        database = Database(url, clock, name=name, size=options.max_reads + 1, options=options.breaker)
        readers = Readers(
            database, running=options.max_reads, waiting=options.max_waiting, timeout=options.query_timeout
        )
        return Copy(database, readers)

    replicas = [readers_of(url, f"replica {at}") for at, url in enumerate(options.replica_urls, 1)]
    return Copies(readers_of(options.url, options.name), source, replicas, clock, options.replica_max_lag)
