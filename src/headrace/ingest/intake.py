"""Intake: from the bytes of a request to durable frames. Ids and the time of receipt are assigned here, once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from headrace.errors import Invalid, Malformed, TooLarge, Unavailable
from headrace.ingest import wire
from headrace.ingest.batcher import Batcher
from headrace.ingest.frame import encode_frame
from headrace.ingest.framing import Accepted, Door, frame_of, slice_frame, span_of
from headrace.ingest.stored import StoredWaiter
from headrace.ingest.wire import WireEvent
from headrace.kit.ids import format_id
from headrace.kit.json_text import UNDECODABLE, array_items, array_slices, has_bad_escape, line_slices
from headrace.model.metric import EVENTS_REJECTED
from headrace.ports.clock import Clock
from headrace.ports.metrics import Metrics

MAX_ITEMS = 100_000
MAX_ARRAY_BYTES = 4 * 1024 * 1024
_INLINE_BYTES = 64 * 1024  # 0.1 ms to split; more goes to a thread
_BOM = b"\xef\xbb\xbf"

Trouble = Callable[[int], str | None]


def no_trouble(bucket_id: int) -> str | None:  # noqa: ARG001 - whichever it is
    return None


class Intake:
    """Every method returns once the events are durable (and, on request, stored), never before.

    Raises Malformed, Invalid or TooLarge for what the client must change; Overloaded, Unavailable or OutcomeUnknown
    when some or all of it may not have been taken: a body with ids or an Idempotency-Key is then safe to repeat.
    """

    def __init__(
        self, batcher: Batcher, waiter: StoredWaiter, clock: Clock, metrics: Metrics, trouble: Trouble = no_trouble
    ) -> None:
        """`trouble`: why nothing can be taken for a bucket now, or None (see ports/events)."""
        self._trouble = trouble
        self._batcher = batcher
        self._waiter = waiter
        self._clock = clock
        self._metrics = metrics

    async def one(self, door: Door, body: bytes) -> Accepted:
        """A single JSON object."""
        self._check_store(door)
        now = self._clock.now()
        body = body.removeprefix(_BOM)
        event = _decode_single(body, door, now)
        lines = body.replace(b"\n", b" ") if b"\n" in body else body
        frame = frame_of(door, now, (event,), lines, (0,), own_ids=wire.brings_id(event))
        block = await self._batcher.submit(encode_frame(frame), 1, len(body), urgent=door.wait_stored)
        accepted = Accepted([format_id(frame.id_of(0))], 1, size=len(body))
        if door.wait_stored:
            await self._wait_stored(door, (block,), accepted)
        return accepted

    async def lines(self, door: Door, body: bytes) -> Accepted:
        """NDJSON: each line is taken or refused for itself; blank lines do not count."""
        body = body.removeprefix(_BOM)
        if body.count(b"\n") >= MAX_ITEMS and sum(1 for line in body.split(b"\n") if line.strip()) > MAX_ITEMS:
            raise TooLarge(f"more than {MAX_ITEMS} lines; send them in several requests")
        return await self._take(door, line_slices(body))

    async def array(self, door: Door, body: bytes) -> Accepted:
        """A JSON array of objects: each is taken or refused for itself."""
        body = body.removeprefix(_BOM)
        if len(body) > MAX_ARRAY_BYTES:
            raise TooLarge(f"a JSON array may have {MAX_ARRAY_BYTES} bytes; send application/x-ndjson instead")
        try:
            small = len(body) <= _INLINE_BYTES
            items = array_items(body) if small else await asyncio.to_thread(array_items, body)
        except UNDECODABLE as exc:
            raise Malformed(wire.undecodable(exc, body).detail) from exc
        if len(items) > MAX_ITEMS:
            raise TooLarge(f"more than {MAX_ITEMS} items; send them in several requests")
        return await self._take(door, array_slices(items))

    async def _take(self, door: Door, slices: Iterator[bytes]) -> Accepted:
        self._check_store(door)
        now = self._clock.now()
        span = span_of(door.bucket, now)
        accepted = Accepted()
        commits: list[asyncio.Future[int]] = []
        index = taken = 0
        try:
            for lines in slices:
                frame, seen = slice_frame(door, now, span, lines, index, accepted)
                index += seen
                if frame is not None:
                    taken += frame.count
                    accepted.size += len(frame.lines)
                    commits.append(
                        self._batcher.submit(
                            encode_frame(frame), frame.count, len(frame.lines), urgent=door.wait_stored
                        )
                    )
                await asyncio.sleep(0)
        finally:
            results = await asyncio.gather(*commits, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        accepted.count = taken
        if accepted.rejected:
            self._metrics.add(EVENTS_REJECTED, accepted.rejected)
        if not taken:
            raise _nothing_taken(accepted)
        if door.wait_stored:
            await self._wait_stored(door, [block for block in results if isinstance(block, int)], accepted)
        return accepted

    def _check_store(self, door: Door) -> None:
        if (trouble := self._trouble(door.bucket.id)) is not None:
            raise Unavailable(f"the event store of this bucket is away: {trouble}", retry_after=2)

    async def _wait_stored(self, door: Door, blocks: Sequence[int], accepted: Accepted) -> None:
        position = await self._waiter.wait(blocks, door.bucket.id)
        accepted.stored = position is not None
        accepted.position = position or 0


def _nothing_taken(accepted: Accepted) -> Invalid:
    if not accepted.rejected:
        return Invalid("the body holds no event", code="empty-body")
    return Invalid("no item could be accepted", code="invalid-event", items=accepted.errors)


def _decode_single(body: bytes, door: Door, now: int) -> WireEvent:
    if len(body) > wire.MAX_EVENT_BYTES:
        raise TooLarge(f"an event may have {wire.MAX_EVENT_BYTES} bytes as JSON")
    try:
        if not body.isascii():
            body.decode()
        event = wire.decode_one(body)
    except UNDECODABLE as exc:
        error = wire.undecodable(exc, body)
        kind = Malformed if error.code in ("invalid-json", "invalid-utf8") else Invalid
        raise kind(error.detail, code=error.code) from exc
    if has_bad_escape(body):
        raise Invalid(wire.BAD_ESCAPE.detail, code=wire.BAD_ESCAPE.code)
    span = span_of(door.bucket, now)
    if wire.oddities((event,), span) and (found := wire.flaw(event, span)):
        raise Invalid(found.detail, code=found.code)
    return event
