"""Group commit: while one block is being made durable, later frames gather, and the next block takes all of them.

No timer: an idle service commits at once, a busy one commits as many as came meanwhile. One fsync serves them all.
"""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from headrace.errors import HeadraceError, OutcomeUnknown, Overloaded, Unavailable
from headrace.ingest.frame import encode_block
from headrace.kit.ids import uuid7
from headrace.model.block import Block
from headrace.model.metric import BYTES_ACCEPTED, EVENTS_ACCEPTED, QUEUE_COMMIT_SECONDS, QUEUE_COMMITS, QUEUE_ERRORS
from headrace.ports.clock import Clock
from headrace.ports.metrics import Metrics
from headrace.ports.queue import Queue

_TURNS = 3  # of the loop, from a readable socket to a submitted frame
_MAX_BLOCK_BYTES = 1024 * 1024  # before compression; 4 MiB leaves the caches and cost an eighth more


class _Waiting(msgspec.Struct, gc=False):
    frame: bytes
    size: int
    events: int
    urgent: bool
    done: asyncio.Future[int]


class Batcher:
    """Frames in, ids of durable blocks out. Bounded: frames in flight never pass `max_bytes`."""

    def __init__(self, queue: Queue, clock: Clock, metrics: Metrics, *, max_bytes: int) -> None:
        self._queue = queue
        self._clock = clock
        self._metrics = metrics
        self._max_bytes = max_bytes
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._closing = False
        self._committer: asyncio.Task[None] | None = None

    def submit(self, frame: bytes, events: int, size: int, *, urgent: bool = False) -> asyncio.Future[int]:
        """A future that ends with the id of the block once it is durable. `size`: the bytes that the client sent.

        Raises Overloaded at once when full.
        """
        if self._closing:
            raise Unavailable("the server is shutting down; send it again", retry_after=2)
        if self._bytes + len(frame) > self._max_bytes and self._bytes:
            raise Overloaded(f"{self._bytes} bytes wait to be made durable; send it again in a moment", retry_after=1)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(frame, size, events, urgent, done))
        self._bytes += len(frame)
        if self._committer is None:
            self._committer = asyncio.create_task(self._commit_all(), name="batcher")
        return done

    async def close(self) -> None:
        """Refuse new frames, finish those that were taken."""
        self._closing = True
        if self._committer is not None:
            await self._committer

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                await self._settle()
                await self._commit(self._take())
        finally:
            self._committer = None

    async def _settle(self) -> None:
        """Let the loop bring in the requests that are here already: a commit of 64 costs hardly more than of 8."""
        seen = 0
        while len(self._waiting) > seen:
            seen = len(self._waiting)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    def _take(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0].frame) <= _MAX_BLOCK_BYTES):
            size += len(self._waiting[0].frame)
            taken.append(self._waiting.popleft())
        self._bytes -= size
        return taken

    async def _commit(self, taken: list[_Waiting]) -> None:
        payload = encode_block([one.frame for one in taken], any(one.urgent for one in taken))
        block = Block(uuid7(self._clock.now()), payload, sum(one.events for one in taken))
        began = self._clock.monotonic()
        try:
            await self._queue.put(block)
        except HeadraceError as exc:
            self._fail(taken, exc)
        except Exception as exc:
            self._fail(taken, OutcomeUnknown(f"the queue failed: {type(exc).__name__}"))
            raise
        else:
            self._metrics.add(QUEUE_COMMITS)
            self._metrics.add(
                EVENTS_ACCEPTED, block.events
            )  # here and not in intake: once for all who share the commit
            self._metrics.add(BYTES_ACCEPTED, sum(one.size for one in taken))
            self._metrics.observe(QUEUE_COMMIT_SECONDS, self._clock.monotonic() - began)
            for one in taken:
                if not one.done.done():  # a client that hung up has cancelled its wait
                    one.done.set_result(block.id)

    def _fail(self, taken: list[_Waiting], error: HeadraceError) -> None:
        self._metrics.add(QUEUE_ERRORS)
        for one in taken:
            if not one.done.done():
                one.done.set_exception(error)
