"""Drain: blocks from the queue into the store, many at once, each event once.

The queue is acked only after the store's commit, and the ids of the blocks are part of that commit: a block that
comes again is skipped. Only errors of the data itself make poison; anything else puts the blocks back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from uuid import UUID

from headrace.errors import PartlyStored, Poison
from headrace.ingest.columns import batch_of, halve
from headrace.ingest.frame import Frame, decode_block, decode_frame, encode_frame, is_urgent, split_block
from headrace.kit.failpoint import reach
from headrace.kit.ids import uuid5
from headrace.kit.times import SECOND
from headrace.model.block import DeadLetter, Delivery
from headrace.model.event import EventBatch, Written
from headrace.model.metric import (
    DEAD_LETTERS,
    DRAIN_DUPLICATES,
    DRAIN_ERRORS,
    DRAIN_EVENTS,
    DRAIN_LAG_SECONDS,
    DRAIN_SECONDS,
)
from headrace.ports.bus import Bus, Stored
from headrace.ports.clock import Clock
from headrace.ports.dead_letters import DeadLetters
from headrace.ports.events import Events
from headrace.ports.metrics import Metrics
from headrace.ports.queue import Queue
from headrace.ports.recent import Recent

_LETTERS = UUID("b0c6f2a4-3d57-5c1e-8a52-0f6f8f6f2f11")

Blocks = list[tuple[int, list[Frame]]]
Place = tuple[int, int, int]
"""The block's id, the frame's number in it, the event's number in the frame."""

_BATCH_EVENTS = 122_880  # a row group of DuckDB; one event more, and its next checkpoint writes all of them again
_FULL = 100_000
_PACE_SECONDS = 0.25  # under steady load one transaction this often; an idle drain writes at once
_BUSY = 5_000  # events within one pace: from here on a row costs a tenth less in a larger batch, and we wait longer
_BUSY_PACE_SECONDS = 0.75
_LOOK_SECONDS = 0.03
_AWAY_SECONDS = 5.0  # until a block for a store that is away is tried again


class Drain:
    """`step()` moves what waits; a worker only loops it."""

    def __init__(
        self,
        queue: Queue,
        events: Events,
        dead_letters: DeadLetters,
        recent: Recent,
        bus: Bus,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._events = events
        self._dead_letters = dead_letters
        self._recent = recent
        self._bus = bus
        self._clock = clock
        self._metrics = metrics
        self._last_write = float("-inf")

    async def step(self, wait: float = 1.0) -> int:
        """Store what waits, waiting up to `wait` seconds for the first block; how many events it were.

        Raises Unavailable when the store or the queue is not there: the blocks are back in the queue then.
        """
        deliveries: list[Delivery] = []
        try:
            await self._gather(deliveries, wait)
            return await self._store(deliveries) if deliveries else 0
        except PartlyStored as exc:
            await asyncio.shield(self._put_some_back(deliveries, exc.bucket_ids))
            return 0
        except BaseException:
            await asyncio.shield(self._queue.release(deliveries))
            raise

    async def _gather(self, deliveries: list[Delivery], wait: float) -> None:
        """What is there at once, or, when a write was just now and nobody waits, what comes in a moment."""
        deliveries += await self._queue.receive(_BATCH_EVENTS, wait)
        while deliveries and not _is_urgent(deliveries):
            events = _events(deliveries)
            pace = _PACE_SECONDS if events < _BUSY else _BUSY_PACE_SECONDS
            pause = self._last_write + pace - self._clock.monotonic()
            if pause <= 0 or events >= _FULL:
                break
            await self._clock.sleep(min(pause, _LOOK_SECONDS))
            deliveries += await self._queue.receive(_BATCH_EVENTS - events, 0)

    async def _store(self, deliveries: Sequence[Delivery]) -> int:
        began = self._clock.monotonic()
        try:
            batch = await asyncio.to_thread(_decode_all, deliveries)
            written = await self._events.write(batch)
        except Poison:
            batch, written = await self._store_without_poison(deliveries)
        reach("drain.after_write")
        self._recent.add(batch, written)
        await self._bus.publish(
            Stored(
                written.first_seq + written.stored - 1,
                frozenset(bucket for _, bucket in batch.blocks),
                frozenset(delivery.block.id for delivery in deliveries),
            )
        )
        await self._queue.ack(deliveries)
        self._metrics.add(DRAIN_EVENTS, written.stored)
        if duplicates := len(batch) - written.stored:
            self._metrics.add(DRAIN_DUPLICATES, duplicates)
        self._last_write = self._clock.monotonic()
        self._metrics.observe(DRAIN_SECONDS, self._last_write - began)
        self._metrics.set(DRAIN_LAG_SECONDS, _lag(deliveries, self._clock.now()))
        return written.stored

    async def _put_some_back(self, deliveries: Sequence[Delivery], away: frozenset[int]) -> None:
        """What holds events for a store that is away waits a while in the queue, so that it is in nobody's way."""
        late = [delivery for delivery in deliveries if _buckets(delivery) & away]
        stored = [delivery for delivery in deliveries if delivery not in late]
        await self._queue.release(late, _AWAY_SECONDS)
        await self._queue.ack(stored)
        buckets = frozenset[int]().union(*map(_buckets, stored))
        await self._bus.publish(Stored(0, buckets, frozenset(delivery.block.id for delivery in stored)))
        self._metrics.add(DRAIN_ERRORS)

    async def _store_without_poison(self, deliveries: Sequence[Delivery]) -> tuple[EventBatch, Written]:
        letters: list[DeadLetter] = []
        blocks: Blocks = []
        for delivery in deliveries:
            frames = await self._sound_frames(delivery, letters)
            blocks.append((delivery.block.id, frames))
        await self._dead_letters.add(letters)  # before the ack that would forget them
        self._metrics.add(DEAD_LETTERS, len(letters))
        batch = await asyncio.to_thread(batch_of, blocks)
        return batch, await self._events.write(batch)

    async def _sound_frames(self, delivery: Delivery, letters: list[DeadLetter]) -> list[Frame]:
        """The frames of a block that can be stored; a letter for each of the others, down to the single event."""
        block_id = delivery.block.id
        try:
            raws = list(split_block(delivery.block.payload))
        except Poison as exc:
            letters.append(self._letter((block_id, 0, 0), None, delivery.block.payload, exc))
            return []
        sound: list[Frame] = []
        for number, raw in enumerate(raws):
            place = (block_id, number, 0)
            try:
                frame = decode_frame(raw)
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is this frame's
                letters.append(self._letter(place, None, raw, Poison(f"not a frame: {exc}")))
                continue
            sound += await self._bisect(place, frame, letters)
        return sound

    async def _bisect(self, place: Place, frame: Frame, letters: list[DeadLetter]) -> list[Frame]:
        block_id, number, begin = place
        try:
            await self._events.check(await asyncio.to_thread(batch_of, [(block_id, [frame])]))
        except Poison as exc:
            try:
                halves = halve(frame) if frame.count > 1 else ()
            except Poison:
                halves = ()
            if not halves:
                letters.append(self._letter(place, frame.bucket_id, encode_frame(frame), exc))
                return []
            places = (place, (block_id, number, begin + halves[0].count))
            sound = [await self._bisect(at, half, letters) for at, half in zip(places, halves, strict=True)]
            return sound[0] + sound[1]
        return [frame]

    def _letter(self, place: Place, bucket_id: int | None, payload: bytes, why: Poison) -> DeadLetter:
        # From its place alone: a block that comes again, in whatever company, gives the same letter. In the form of a
        # UUIDv7 with the block's time, so that letters sort by age.
        digest = uuid5(_LETTERS, b"".join(part.to_bytes(16) for part in place))
        identity = place[0] >> 80 << 80 | 7 << 76 | digest & (0xFFF << 64 | (1 << 64) - 1)
        return DeadLetter(identity, bucket_id, why.detail, self._clock.now(), payload)


def _events(deliveries: Sequence[Delivery]) -> int:
    return sum(delivery.block.events for delivery in deliveries)


def _lag(deliveries: Sequence[Delivery], now: int) -> float:
    """Seconds from the oldest block's time, which its UUIDv7 tells in ms, until now."""
    return max(0.0, now / SECOND - min(delivery.block.id >> 80 for delivery in deliveries) / 1000)


def _buckets(delivery: Delivery) -> frozenset[int]:
    """Of whose frames it is made; none when it is poison, which no store can be away for."""
    try:
        return frozenset(frame.bucket_id for frame in decode_block(delivery.block.payload))
    except Poison:
        return frozenset()


def _is_urgent(deliveries: Sequence[Delivery]) -> bool:
    return any(is_urgent(delivery.block.payload) for delivery in deliveries)


def _decode_all(deliveries: Sequence[Delivery]) -> EventBatch:
    return batch_of([(delivery.block.id, decode_block(delivery.block.payload)) for delivery in deliveries])
