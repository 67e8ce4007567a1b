"""A queue in memory: for unit tests, and for the contract's sake. Nothing in it survives the process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from headrace.errors import Overloaded, Unavailable
from headrace.model.block import Block, Delivery, QueueDepth
from headrace.ports.clock import Clock


class MemoryQueue:
    """`ports.queue.Queue` without its durability."""

    def __init__(self, clock: Clock, *, max_bytes: int = 1024**3) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._blocks: dict[int, Block] = {}
        self._ready: deque[int] = deque()
        self._arrived = asyncio.Event()
        self._next_seq = 1
        self._closed = False

    async def put(self, block: Block) -> None:
        if self._closed:
            raise Unavailable("the queue is closed")
        if self._bytes() + len(block.payload) > self._max_bytes:
            raise Overloaded(f"more than {self._max_bytes} bytes would wait in the queue")
        self._blocks[self._next_seq] = block
        self._ready.append(self._next_seq)
        self._next_seq += 1
        self._arrived.set()

    async def receive(self, max_events: int, wait: float) -> Sequence[Delivery]:
        if not self._ready and wait > 0 and not self._closed:
            self._arrived.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        taken: list[Delivery] = []
        events = 0
        while self._ready:
            block = self._blocks.get(self._ready[0])
            if block and taken and events + block.events > max_events:
                break
            seq = self._ready.popleft()
            if block:
                taken.append(Delivery(block, seq))
                events += block.events
        return taken

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            self._blocks.pop(int(one.receipt), None)

    async def release(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self._put_back, deliveries)
        else:
            self._put_back(deliveries)

    def _put_back(self, deliveries: Sequence[Delivery]) -> None:
        self._ready.extendleft(int(one.receipt) for one in reversed(deliveries) if int(one.receipt) in self._blocks)
        if self._ready:
            self._arrived.set()

    async def depth(self) -> QueueDepth:
        oldest = next(iter(self._blocks.values()), None)
        age = self._clock.now() / 1e6 - (oldest.id >> 80) / 1e3 if oldest else 0.0
        events = sum(block.events for block in self._blocks.values())
        return QueueDepth(len(self._blocks), events, self._bytes(), max(0.0, age))

    async def close(self) -> None:
        self._closed = True
        self._arrived.set()

    def _bytes(self) -> int:
        return sum(len(block.payload) for block in self._blocks.values())
