"""The one place that changes the file. Everything here runs in the writing thread, one call at a time."""

# ruff: noqa: S608 — SQL is put together from fixed texts; every value is a bound parameter
from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress

import duckdb

from headrace.adapters.duckdb import arrow
from headrace.adapters.duckdb.database import Busy, Database
from headrace.adapters.duckdb.dedup import Chosen, Ids, chosen, doubtful, duplicates, new_ids
from headrace.adapters.duckdb.faults import writing
from headrace.adapters.duckdb.known_ids import RANGE_BITS, KnownIds
from headrace.adapters.duckdb.schema import DERIVED_COLUMNS, ROW_GROUP
from headrace.model.event import EventBatch, Written

_SLICE = 2 * ROW_GROUP  # positions in one deleting transaction
_MASK = (1 << 64) - 1
_DERIVED = ", ".join(f"{expression} AS {name}" for name, _, expression in DERIVED_COLUMNS)

_LAST_SEQ = "SELECT greatest((SELECT max(seq) FROM events), (SELECT value FROM meta WHERE key = 'seq_floor'))"

_STORED_IDS = f"""
SELECT wanted.place FROM wanted SEMI JOIN client_ids AS known
  ON known.bucket_id = wanted.bucket_id AND known.id_hi = wanted.id_hi AND known.id_lo = wanted.id_lo
UNION
SELECT wanted.place FROM wanted JOIN (SELECT * FROM client_ids WHERE n > 1) AS known
  ON known.bucket_id = wanted.bucket_id AND known.id_hi = wanted.id_hi
  AND known.id_lo >> {RANGE_BITS} = wanted.id_lo >> {RANGE_BITS}
WHERE wanted.id_lo >= known.id_lo AND wanted.id_lo - known.id_lo < known.n
"""


class Writer:
    """`last_seq` is the newest position that is committed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.last_seq = 0
        self._newest_block = 0  # the time of the newest block stored: a block from later on cannot be stored yet
        self._deleted = 0
        self._doubted = False

    def doubt(self) -> None:
        """After an error of the disk: what is read back may be in memory only, and must be written anew to be believed.

        An fsync that failed once says nothing when it is repeated on the same pages.
        """
        self._doubted = True

    def load(self) -> None:
        """Where the file left off."""
        with writing():
            run = self._database.connection.execute
            self.last_seq = _number(run(_LAST_SEQ))
            self._newest_block = _number(run("SELECT coalesce(max(id_hi), 0) FROM stored_blocks")) >> 16

    def write(self, batch: EventBatch, known: Future[KnownIds], now: int) -> Written:
        """See ports/events.py. Waits for `known` only if the batch has chosen ids."""
        self._settle()
        skipped = list(self._redelivered(batch))
        ids, left_out = Chosen(), {row for rows in skipped for row in rows}
        if batch.chosen:
            ids = chosen(batch, skipped)
            left_out |= duplicates(batch, doubtful(batch, ids, known.result()), self._stored_places)
        kept = [row for row in range(len(batch)) if row not in left_out] if left_out else None
        count = len(batch) if kept is None else len(kept)
        rows = arrow.events_table(batch, self.last_seq + 1, kept)
        remembered = new_ids(batch, ids, left_out)
        if batch.chosen:  # before the commit: to know an id that is not stored costs a look, the other way a duplicate
            ids.remember(batch, known.result(), now)
        with self._transaction():
            if count:
                self._insert(rows)
            self._insert_blocks(batch.blocks, now)
            self._insert_ids(remembered, now)
        first_seq = self.last_seq + 1
        self.last_seq += count
        return Written(count, first_seq, kept)

    def check(self, batch: EventBatch) -> None:
        """Raises Poison if `batch` cannot be stored."""
        rows = arrow.events_table(batch, self.last_seq + 1, None)
        if rows is None:
            return
        run = self._database.connection.execute
        with writing():
            run("BEGIN")
            try:
                self._insert(rows)
            finally:
                run("ROLLBACK")

    def stored_blocks(self, block_ids: Sequence[int], bucket_id: int) -> frozenset[int]:
        """Those of `block_ids` whose events of this bucket are stored."""
        with writing():
            rows = self._blocks_between(min(block_ids), max(block_ids)) if block_ids else []
        return frozenset(block_ids) & {hi << 64 | lo for hi, lo, bucket in rows if bucket == bucket_id}

    def delete(self, bucket_id: int, before: int | None) -> Iterator[int]:
        """Delete the events of a bucket with time < `before` (µs; None: all), a few row groups at a time."""
        where, params = "bucket_id = ?", [bucket_id]
        if before is not None:
            where, params = f"{where} AND time < make_timestamp(?::BIGINT)", [bucket_id, before]
        with writing():
            bounds = self._database.connection.execute(f"SELECT min(seq), max(seq) FROM events WHERE {where}", params)
            [(low, high)] = bounds.fetchall()
        if low is None:
            return
        for start in range(low, high + 1, _SLICE):
            with self._transaction():
                run = self._database.connection.execute
                slice_where = f"{where} AND seq BETWEEN ? AND ?"
                count = _number(run(f"DELETE FROM events WHERE {slice_where}", [*params, start, start + _SLICE - 1]))
                self._keep_position()
            self._deleted += count
            yield count

    def free(self) -> None:
        """Give the space of what was deleted back to the file, once it is worth it, and nothing is in the way."""
        if self._deleted >= ROW_GROUP:
            with suppress(Busy), writing():
                self._database.checkpoint()
                self._deleted = 0

    def forget(self, blocks_before: int, ids_before: int) -> None:
        with self._transaction():
            run = self._database.connection.execute
            run("DELETE FROM stored_blocks WHERE stored_at < ?", [blocks_before])
            run("DELETE FROM client_ids WHERE seen_at < ?", [ids_before])

    def _settle(self) -> None:
        """Write the log into the file before anything in it is taken for durable."""
        if self._doubted:
            with self._transaction():  # so that there is something to write
                self._keep_position()
            with writing():
                self._database.checkpoint()
            self._doubted = False

    def _keep_position(self) -> None:
        """Positions up to here must not be given again, whatever is deleted."""
        self._database.connection.execute("UPDATE meta SET value = ? WHERE key = 'seq_floor'", [self.last_seq])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._database.connection
        with writing():
            connection.execute("BEGIN")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.Error):  # already rolled back by what failed
                    connection.execute("ROLLBACK")
                raise

    def _insert(self, rows: object) -> None:
        self._database.connection.from_arrow(rows).project(f"*, {_DERIVED}").insert_into("events")

    def _insert_blocks(self, blocks: Sequence[tuple[int, int]], now: int) -> None:
        new = dict.fromkeys(blocks)
        if not new:
            return
        rows = arrow.table(
            id_hi=array("Q", [block >> 64 for block, _ in new]),
            id_lo=array("Q", [block & _MASK for block, _ in new]),
            bucket_id=array("q", [bucket for _, bucket in new]),
            stored_at=array("q", [now]) * len(new),
        )
        self._database.connection.from_arrow(rows).insert_into("stored_blocks")
        self._newest_block = max(self._newest_block, max(block for block, _ in new) >> 80)

    def _insert_ids(self, ids: Ids, now: int) -> None:
        if not len(ids.n):
            return
        seen_at = array("q", [now]) * len(ids.n)
        rows = arrow.table(bucket_id=ids.bucket_id, id_hi=ids.id_hi, id_lo=ids.id_lo, n=ids.n, seen_at=seen_at)
        self._database.connection.from_arrow(rows).insert_into("client_ids")

    def _redelivered(self, batch: EventBatch) -> Iterator[range]:
        """The rows of blocks that are stored, or come earlier in the batch."""
        stored: set[tuple[int, int]] = set()
        old = [block for block, _ in batch.blocks if block >> 80 <= self._newest_block]
        if old:
            with writing():
                rows = self._blocks_between(min(old), max(old))
            stored = {(hi << 64 | lo, bucket) for hi, lo, bucket in rows}
        # No block is left when all that came was poison.
        ends = [*batch.block_rows[1:], len(batch)] if batch.blocks else []
        for block, start, end in zip(batch.blocks, batch.block_rows, ends, strict=True):
            if block in stored:
                yield range(start, end)
            stored.add(block)

    def _blocks_between(self, first: int, last: int) -> list[tuple[int, int, int]]:
        sql = "SELECT id_hi, id_lo, bucket_id FROM stored_blocks WHERE id_hi BETWEEN ? AND ?"
        return self._database.connection.execute(sql, [first >> 64, last >> 64]).fetchall()

    def _stored_places(self, ids: Ids) -> set[int]:
        """The places of the ids that are stored."""
        connection = self._database.connection
        place = array("q", range(len(ids.n)))
        with writing():
            wanted = arrow.table(place=place, bucket_id=ids.bucket_id, id_hi=ids.id_hi, id_lo=ids.id_lo)
            connection.register("wanted", wanted)
            try:
                return {row[0] for row in connection.execute(_STORED_IDS).fetchall()}
            finally:
                connection.unregister("wanted")


def _number(result: duckdb.DuckDBPyConnection) -> int:
    rows = result.fetchall()  # an answer not read to its end keeps the connection from anything else
    return int(rows[0][0])
