"""The PostgreSQL side of a move of all data: one shard of events, and the queue.

Events keep their positions, so they are copied below those that writers give, under the writers' lock; every page has
its note in `event_batches`, as if it had been written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice
from typing import Any, Self
from uuid import UUID

from headrace.adapters.postgres import _move_notes as notes
from headrace.adapters.postgres import _queue_tables as queue
from headrace.adapters.postgres import schema
from headrace.adapters.postgres.copying import copy_in, rows_of, tally
from headrace.adapters.postgres.database import Connection, Database
from headrace.adapters.postgres.guarantee import AT_LEAST_THE_DISK
from headrace.adapters.postgres.layout import Layout, prepare
from headrace.adapters.postgres.partitions import LOCK, WORTH_ONE, Partitions
from headrace.adapters.postgres.writer import bounds, count_days
from headrace.errors import Conflict
from headrace.kit.failpoint import reach
from headrace.kit.times import to_datetime
from headrace.model.block import Block
from headrace.model.move import EventPage, Memory, Remembered, RememberedPage
from headrace.ports.clock import Clock

_CONNECTIONS = 2
_SECONDS = 600.0  # a page: 20,000 rows into every index, on a slow disk too
_QUEUE_SECONDS = 6 * 3_600.0  # all that waits, as one
_AT_ONCE = 20_000  # remembered ids in one statement
_EVENTS = "events"
_QUEUE = "queue"

# Flushed, whatever the server's default: the note of how far the copy is must not survive what it speaks of.
_BEGIN = f"""
SET LOCAL statement_timeout = '600s';
SET LOCAL lock_timeout = '30s';
SET LOCAL work_mem = '32MB';
{AT_LEAST_THE_DISK};
"""
_NOTE = "INSERT INTO event_batches VALUES (%s, %s, clock_timestamp(), %s, %s, %s, '{}')"
_POSITION = "SELECT last_seq FROM event_position"
_MOVE_ON = "UPDATE event_position SET last_seq = greatest(last_seq, %s)"
_COUNTS = "SELECT bucket_id, sum(events)::bigint FROM event_days GROUP BY bucket_id"
_REMEMBER = {
    Memory.BLOCKS: """
INSERT INTO stored_blocks (bucket_id, block_id, stored_at)
SELECT * FROM unnest(%s::int[], %s::uuid[], %s::timestamptz[]) ON CONFLICT DO NOTHING
""",
    Memory.IDS: """
INSERT INTO event_ids AS old (bucket_id, id, seen_at)
SELECT bucket_id, id, max(seen_at) FROM unnest(%s::int[], %s::uuid[], %s::timestamptz[]) AS new (bucket_id, id, seen_at)
GROUP BY 1, 2 ORDER BY 1, 2
ON CONFLICT (bucket_id, id) DO UPDATE SET seen_at = greatest(old.seen_at, excluded.seen_at)
""",
}
_PUT_ALL = "COPY queue_blocks (block_id, events, size, payload) FROM STDIN (FORMAT BINARY)"


class PostgresMoveEvents:
    """`ports.move.EventsInto`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Use `open`."""
        self._database = database
        self._partitions = Partitions(clock)

    @classmethod
    async def open(cls, url: str, clock: Clock) -> Self:
        """Connect, and make the tables. Raises NewerFormat, Unusable or Unavailable."""
        return cls(await _opened(url, clock, "the event store", schema.LAYOUT), clock)

    async def look(self, source: str) -> None:
        await notes.look(self._database, _EVENTS, source, ("events", "stored_blocks", "event_ids"))

    async def begin(self, source: str, days: Mapping[date, int]) -> Mapping[str, int]:
        reached = await notes.begin(self._database, source, (_EVENTS, *Memory))
        async with self._database.changing(_SECONDS) as connection:
            await self._partitions.make(connection, (day for day, count in days.items() if count >= WORTH_ONE))
        return reached

    async def write(self, page: EventPage) -> None:
        rows = await asyncio.to_thread(rows_of, page.events)
        added = tally(rows)
        async with self._database.changing(_SECONDS) as connection, connection.transaction():
            await self._take_turn(connection, page.after)
            await copy_in(connection, rows, page.seqs)
            await count_days(connection, added)
            buckets = sorted({bucket for bucket, _ in added})
            await connection.execute(_NOTE, (page.upto, page.after + 1, *bounds(added), buckets))
            await self._move_on(connection, page.upto)
            reach("move.before_commit")
        reach("move.after_commit")

    async def remember(self, memory: Memory, page: RememberedPage) -> None:
        entries = _each(page.entries)
        async with self._database.changing(_SECONDS) as connection, connection.transaction():
            await connection.execute(_BEGIN)
            while some := list(islice(entries, _AT_ONCE)):
                await connection.execute(_REMEMBER[memory], list(map(list, zip(*some, strict=True))))
            await notes.reach(connection, memory, page.upto)
            reach("move.remembered")

    async def finish(self, last_seq: int) -> None:
        async with self._database.changing(_SECONDS) as connection, connection.transaction():
            await connection.execute(_BEGIN)
            await self._move_on(connection, last_seq)

    async def counts(self) -> Mapping[int, int]:
        async with self._database.asking(_SECONDS) as connection:
            return dict(await (await connection.execute(_COUNTS)).fetchall())

    async def close(self) -> None:
        await self._database.close()

    async def _take_turn(self, connection: Connection, after: int) -> None:
        """Raises Conflict when another has written since."""
        await connection.execute(_BEGIN)
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        if await (await connection.execute(_POSITION)).fetchone() != (after,):
            raise Conflict(
                "A server has stored events in the database before the copy was finished: begin again with an empty "
                "database, and start servers on it when the copy says that it is complete."
            )

    async def _move_on(self, connection: Connection, seq: int) -> None:
        await connection.execute(_MOVE_ON, (seq,))
        await notes.reach(connection, _EVENTS, seq)


class PostgresMoveQueue:
    """`ports.move.QueueInto`."""

    def __init__(self, database: Database) -> None:
        """Use `open`."""
        self._database = database

    @classmethod
    async def open(cls, url: str, clock: Clock) -> Self:
        """Connect, and make the tables. Raises NewerFormat, Unusable or Unavailable."""
        return cls(await _opened(url, clock, "the queue", queue.LAYOUT))

    async def look(self, source: str) -> None:
        await notes.look(self._database, _QUEUE, source, ("queue_blocks", "dead_letters"))

    async def begin(self, source: str) -> None:
        await notes.begin(self._database, source, (_QUEUE,))

    async def replace(self, pages: AsyncIterator[Sequence[Block]]) -> None:
        async with self._database.changing(_QUEUE_SECONDS) as connection, connection.transaction():
            await connection.execute(_BEGIN)
            await connection.execute("DELETE FROM queue_blocks")
            async for page in pages:
                async with connection.cursor() as cursor, cursor.copy(_PUT_ALL) as copy:
                    copy.set_types(["uuid", "int4", "int4", "bytea"])
                    for block in page:
                        await copy.write_row((UUID(int=block.id), block.events, len(block.payload), block.payload))
                reach("move.queue")

    async def count(self) -> int:
        async with self._database.asking(_SECONDS) as connection:
            row = await (await connection.execute("SELECT count(*) FROM queue_blocks")).fetchone()
            assert row is not None
            return int(row[0])

    async def close(self) -> None:
        await self._database.close()


async def _opened(url: str, clock: Clock, name: str, layout: Layout) -> Database:
    database = Database(url, clock, name=name, size=_CONNECTIONS)
    await database.open()
    try:
        await prepare(database, layout, migrate=True)
        await prepare(database, notes.LAYOUT, migrate=True)
    except BaseException:
        await database.close()
        raise
    return database


def _each(entries: Iterable[Remembered]) -> Iterator[tuple[Any, ...]]:
    for bucket, first, length, at in entries:
        time = to_datetime(at)
        for value in range(first, first + length):
            yield bucket, UUID(int=value), time
