"""One write: blocks, ids that clients chose, events, counts and the position, in one transaction.

Writers of a shard take turns: the lock is held to the commit, so that positions become visible in their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from headrace.adapters.postgres.copying import Place, Rows, Tally, copy_in, tally
from headrace.adapters.postgres.database import Connection
from headrace.adapters.postgres.guarantee import AT_LEAST_THE_DISK
from headrace.adapters.postgres.partitions import LOCK
from headrace.adapters.postgres.rows import Y2K
from headrace.adapters.postgres.turns import Turns
from headrace.kit.times import DAY, to_datetime
from headrace.model.event import EventBatch, Written

# More memory for merging what GIN indexes have pending.
_BEGIN = f"""
SET LOCAL statement_timeout = '60s';
SET LOCAL lock_timeout = '30s';
SET LOCAL work_mem = '32MB';
{AT_LEAST_THE_DISK};
"""
_NEW_BLOCKS = """
INSERT INTO stored_blocks SELECT block_id, bucket_id, %s
FROM unnest(%s::uuid[], %s::int[]) AS new (block_id, bucket_id) ON CONFLICT DO NOTHING RETURNING block_id, bucket_id
"""
_NEW_IDS = """
INSERT INTO event_ids SELECT bucket_id, id, %s FROM unnest(%s::int[], %s::uuid[]) AS new (bucket_id, id)
ORDER BY bucket_id, id ON CONFLICT DO NOTHING RETURNING bucket_id, id
"""
_COUNT = """
INSERT INTO event_days AS old
SELECT * FROM unnest(%s::int[], %s::date[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])
ON CONFLICT (bucket_id, day) DO UPDATE SET events = old.events + excluded.events,
    oldest = least(old.oldest, excluded.oldest), newest = greatest(old.newest, excluded.newest)
"""
_NOTE = "INSERT INTO event_batches VALUES (%s, %s, %s, %s, %s, %s, %s)"
_MOVE_ON = "UPDATE event_position SET last_seq = %s"

_Block = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch with its rows and what they add, made before the lock is taken. `now` is µs."""

    batch: EventBatch
    rows: Rows
    tally: Mapping[Place, Tally]
    now: int


async def write(connection: Connection, prepared: Prepared, turns: Turns) -> Written:
    """See ports/events.py. One transaction on `connection`."""
    batch, now = prepared.batch, to_datetime(prepared.now)
    async with connection.transaction():
        async with turns.waiting():
            last_seq = await _take_turn(connection)
        left_out = await _redelivered(connection, batch, now)
        left_out |= await _duplicates(connection, batch, left_out, now)
        kept = [row for row in range(len(batch)) if row not in left_out] if left_out else None
        stored = len(batch) if kept is None else len(kept)
        if stored:
            added = prepared.tally if kept is None else tally(prepared.rows, kept)
            seqs = range(last_seq + 1, last_seq + 1 + stored)
            await copy_in(connection, prepared.rows, seqs, kept)
            await count_days(connection, added)
            await _note(connection, batch, added, seqs, now)
    return Written(stored, last_seq + 1, kept)


async def try_out(connection: Connection, rows: Rows) -> None:
    """Raise what `write` would for what is wrong with the rows; change nothing."""
    async with connection.transaction(force_rollback=True):
        await copy_in(connection, rows, range(len(rows)))


async def _take_turn(connection: Connection) -> int:
    await connection.execute(_BEGIN)
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    found = await connection.execute("SELECT last_seq FROM event_position")
    row = await found.fetchone()
    assert row is not None
    return int(row[0])


async def _redelivered(connection: Connection, batch: EventBatch, now: datetime) -> set[int]:
    """The rows of blocks that are stored, or come earlier in the batch."""
    blocks = sorted(set(batch.blocks))
    if not blocks:
        return set()  # all that came was poison
    params = (now, [UUID(int=block) for block, _ in blocks], [bucket for _, bucket in blocks])
    fresh = await connection.execute(_NEW_BLOCKS, params)
    new = {(block.int, bucket) for block, bucket in await fresh.fetchall()}
    rows: set[int] = set()
    ends = [*batch.block_rows[1:], len(batch)]
    for block, start, end in zip(batch.blocks, batch.block_rows, ends, strict=True):
        if block in new:
            new.discard(block)
        else:
            rows.update(range(start, end))
    return rows


async def _duplicates(connection: Connection, batch: EventBatch, skipped: set[int], now: datetime) -> set[int]:
    """The rows with ids that a client chose and that are known, or come earlier in the batch."""
    firsts: dict[_Block, int] = {}
    rows: set[int] = set()
    for entry in batch.chosen:
        for row in range(entry.row, entry.row + entry.count):
            if row not in skipped:
                identity = (batch.bucket_id[row], batch.id_hi[row] << 64 | batch.id_lo[row])
                if firsts.setdefault(identity, row) != row:
                    rows.add(row)
    if not firsts:
        return rows
    params = (now, [bucket for bucket, _ in firsts], [UUID(int=value) for _, value in firsts])
    fresh = await connection.execute(_NEW_IDS, params)
    new = {(bucket, value.int) for bucket, value in await fresh.fetchall()}
    return rows | {row for identity, row in firsts.items() if identity not in new}


async def count_days(connection: Connection, added: Mapping[Place, Tally]) -> None:
    """Add rows to the counts of their days, in one order, so that nobody waits for each other in a ring."""
    columns = (
        [bucket for bucket, _ in added], [_date(day) for _, day in added], [each.events for each in added.values()],
        [to_datetime(each.oldest + Y2K) for each in added.values()],
        [to_datetime(each.newest + Y2K) for each in added.values()],
    )  # fmt: skip
    await connection.execute(_COUNT, columns)


async def _note(
    connection: Connection, batch: EventBatch, added: Mapping[Place, Tally], seqs: range, now: datetime
) -> None:
    """Where the new positions lie in time, for tails; whose they are, for the bus."""
    oldest, newest = bounds(added)
    buckets = sorted({bucket for bucket, _ in added})
    blocks = _uuids({block for block, _ in batch.blocks})
    await connection.execute(_NOTE, (seqs[-1], seqs[0], now, oldest, newest, buckets, blocks))
    await connection.execute(_MOVE_ON, (seqs[-1],))


def events_by_day(added: Mapping[Place, Tally]) -> Counter[date]:
    """Of all buckets."""
    counts: Counter[date] = Counter()
    for (_, day), each in added.items():
        counts[_date(day)] += each.events
    return counts


def _date(day: int) -> date:
    """Of days since 2000."""
    return to_datetime(day * DAY + Y2K).date()


def bounds(added: Mapping[Place, Tally]) -> tuple[datetime, datetime]:
    """The oldest time and the newest."""
    oldest, newest = min(each.oldest for each in added.values()), max(each.newest for each in added.values())
    return to_datetime(oldest + Y2K), to_datetime(newest + Y2K)


def _uuids(values: Iterable[int]) -> list[UUID]:
    return [UUID(int=value) for value in values]
