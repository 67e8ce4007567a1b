"""The queue in a table of PostgreSQL: a put is one INSERT, a receive one UPDATE that leases what is free.

Any number of processes share it. A block that is out is leased for 15 s by the database's clock, and its holder renews
that; when the holder dies, others receive it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from headrace.adapters.postgres._queue_arrivals import Arrivals
from headrace.adapters.postgres._queue_leases import LEASE_SECONDS, Leases
from headrace.adapters.postgres._queue_measure import Amount, Measure
from headrace.adapters.postgres._queue_tables import ACK, CLAIM, LAYOUT, MEASURE, PUT, RELEASE, RENEW, put_values
from headrace.adapters.postgres.database import BreakerOptions, Database
from headrace.adapters.postgres.faults import committing, reading
from headrace.adapters.postgres.layout import prepare
from headrace.adapters.postgres.statement import execute
from headrace.errors import Overloaded, Unavailable
from headrace.kit.failpoint import reach
from headrace.model.block import Block, Delivery, QueueDepth
from headrace.ports.clock import Clock

_log = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 1024**3
CONNECTIONS = 3  # a put, a receive, and one of: ack, renewal, measurement, NOTIFY
_PUT_SECONDS = 5.0
_MEASURE_PATIENCE = 0.5  # seconds that a put waits to know how much waits: a client waits for both
_SECONDS = 10.0  # for anything else: a claim reads 16 MiB
_CLOSE_SECONDS = 2.0
_RECEIVE_BYTES = 16 * 1024 * 1024
_FEW_ROWS, _MANY_ROWS = 64, 2000  # looked at by a claim: each is locked for its moment, about 2 µs

Rows = Sequence[tuple[Any, ...]]


class PostgresQueue:
    """`ports.queue.Queue` in the database of a URL, with a small pool of its own: no other query can take a connection
    from it."""

    def __init__(self, database: Database, clock: Clock, listen_url: str, max_bytes: int) -> None:
        self._database = database
        self._clock = clock
        self._max_bytes = max_bytes
        self._me = uuid4()
        self._arrivals = Arrivals(database, listen_url, str(self._me))
        self._measure = Measure(self._ask)
        self._leases = Leases(self._renew)
        self._behind: set[asyncio.Task[None]] = set()
        self._events_per_block = 1.0
        self._migrate = True
        self._prepared = False
        self._closed = False

    @classmethod
    async def open(
        cls,
        url: str,
        clock: Clock,
        *,
        direct_url: str = "",
        max_bytes: int = DEFAULT_MAX_BYTES,
        options: BreakerOptions | None = None,
        migrate: bool = True,
        may_be_away: bool = False,
    ) -> PostgresQueue:
        """`direct_url` leads past a pooler, to be woken by NOTIFY. Raises Unusable, NewerFormat and, unless it
        `may_be_away` (there is a spool), Unavailable."""
        database = Database(url, clock, name="the queue's database", size=CONNECTIONS, options=options)
        queue = cls(database, clock, direct_url or url, max_bytes)
        queue._migrate = migrate
        await database.open()
        try:
            await queue._prepare(may_be_away=may_be_away)
        except BaseException:
            await database.close()
            raise
        queue._arrivals.start()
        return queue

    async def put(self, block: Block) -> None:
        """See the port. One round trip, and one more each half second, to measure."""
        size = len(block.payload)
        await self._check_room(size)
        self._measure.begin(size)
        stored = None
        try:
            await self._insert(block)
            stored = block
        finally:
            self._measure.end(size, stored)
        self._arrivals.arrived()

    async def receive(self, max_events: int, wait: float) -> Sequence[Delivery]:
        """See the port. At most 16 MiB (or one block) at a time."""
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        while not self._closed:
            if wait <= 0 or self._arrivals.is_due:
                found = await self._claim_shielded(max_events)
                if found or wait <= 0:
                    return found
            left = until - loop.time()
            if left <= 0:
                break
            await self._arrivals.wait(left)
        return []

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See the port. Whoever has the lease by now: the block is stored."""
        seqs = _seqs(deliveries)
        if not seqs:
            return
        gone = await self._run(ACK, {"seqs": seqs})
        self._leases.drop(seqs)
        self._measure.forget(Amount(len(gone), sum(row[0] for row in gone), sum(row[1] for row in gone)))

    async def release(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
        """See the port. Raises nothing: what cannot be handed back is free when its lease runs out."""
        await self._hand_back(_seqs(deliveries), _SECONDS, delay)

    async def depth(self) -> QueueDepth:
        """See the port; at most half a second old. The age is that of the oldest block's id, a UUIDv7."""
        await self._measure.refresh()
        amount, oldest = self._measure.amount, self._measure.oldest
        age = self._clock.now() / 1e6 - (oldest >> 80) / 1e3 if oldest is not None and amount.blocks else 0.0
        return QueueDepth(amount.blocks, amount.events, amount.bytes, max(0.0, age))

    async def close(self) -> None:
        """See the port. What is out is handed back."""
        if self._closed:
            return
        self._closed = True
        await self._arrivals.close()
        await self._hand_back(await self._leases.close(), _CLOSE_SECONDS)
        await self._database.close()

    async def _check_room(self, size: int) -> None:
        if self._closed:
            raise Unavailable("the queue is closed")
        await self._measure.refresh(_MEASURE_PATIENCE)
        if self._measure.bytes + size > self._max_bytes:
            raise Overloaded(
                f"{self._measure.bytes} of {self._max_bytes} bytes wait in the queue; send it again later"
            )

    async def _prepare(self, *, may_be_away: bool = False) -> None:
        try:
            await prepare(self._database, LAYOUT, migrate=self._migrate)
            self._prepared = True
        except Unavailable as exc:
            if not may_be_away:
                raise
            _log.warning("%s; it is tried again with each use", exc.detail)

    async def _insert(self, block: Block) -> None:
        with self._database.breaker.watch(), committing(self._database.name):
            async with self._database.connection(_PUT_SECONDS) as connection:
                reach("queue.before_commit")
                await execute(connection, PUT, put_values(block))
                reach("queue.after_commit")

    async def _claim_shielded(self, max_events: int) -> Sequence[Delivery]:
        """A claim that is under way cannot be called off: what it brings to a caller who left is handed back."""
        claiming = asyncio.create_task(self._claim(max_events))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            claiming.add_done_callback(self._nobody_wants)
            raise

    def _nobody_wants(self, claimed: asyncio.Task[list[Delivery]]) -> None:
        if not claimed.cancelled() and claimed.exception() is None and claimed.result():
            handing_back = asyncio.create_task(self.release(claimed.result()))
            self._behind.add(handing_back)
            handing_back.add_done_callback(self._behind.discard)

    async def _claim(self, max_events: int) -> list[Delivery]:
        limit = int(2 * max_events / self._events_per_block)
        rows = max(_FEW_ROWS, min(_MANY_ROWS, limit))
        self._arrivals.looking()
        claim = {"seconds": LEASE_SECONDS, "me": self._me, "rows": rows, "events": max_events, "bytes": _RECEIVE_BYTES}
        found = sorted(await self._run(CLAIM, claim))
        taken = [Delivery(Block(block_id.int, payload, events), seq) for seq, block_id, events, payload in found]
        if taken:
            self._leases.add(_seqs(taken))
            self._events_per_block = max(1.0, sum(one.block.events for one in taken) / len(taken))
            self._arrivals.look()  # there may be more
        return taken

    async def _hand_back(self, seqs: Sequence[int], seconds: float, delay: float = 0.0) -> None:
        self._leases.drop(seqs)
        if not seqs:
            return
        try:
            await self._run(RELEASE, {"seqs": list(seqs), "me": self._me, "delay": delay}, seconds)
        except Unavailable as exc:
            _log.warning("%d blocks are handed back only when their leases run out: %s", len(seqs), exc.detail)
        self._arrivals.look()

    async def _renew(self, seqs: Sequence[int]) -> list[int]:
        rows = await self._run(RENEW, {"seqs": list(seqs), "me": self._me, "seconds": LEASE_SECONDS})
        return [seq for (seq,) in rows]

    async def _ask(self) -> tuple[Amount, int | None]:
        ((blocks, events, size, oldest),) = await self._run(MEASURE, {}, _PUT_SECONDS)  # a put may wait for it
        return Amount(blocks, events, size), None if oldest is None else oldest.int

    async def _run(self, statement: str, values: Mapping[str, Any], seconds: float = _SECONDS) -> Rows:
        if not self._prepared:
            await self._prepare()
        with self._database.breaker.watch(), reading(self._database.name):
            async with self._database.connection(seconds) as connection:
                cursor = await connection.execute(statement, values, binary=True)
                return await cursor.fetchall() if cursor.description else ()


def _seqs(deliveries: Sequence[Delivery]) -> list[int]:
    return [int(one.receipt) for one in deliveries]
