"""The embedded queue: SQLite files through apsw, written by one thread. What waits is indexed in memory.

Everything here runs on the event loop; `_writer` has the thread, `_files` the files. Blocks that the drain takes soon
are handed out from memory and never read back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.adapters.sqlite._files import Kept, QueueFiles
from headrace.adapters.sqlite._writer import Put, Writer
from headrace.errors import HeadraceError, Overloaded, Unavailable
from headrace.model.block import Block, Delivery, QueueDepth
from headrace.ports.clock import Clock

DEFAULT_MAX_BYTES = 1024**3
_PAYLOADS_IN_MEMORY = 32 * 1024 * 1024  # more than a second of what one core takes in
_RECEIVE_BYTES = 16 * 1024 * 1024
_READ_BYTES = 1024 * 1024  # read between two commits: under 1 ms


@dataclass(slots=True)
class _Waiting:
    """A block on hand; `payload` only while it is kept in memory."""

    id: int
    events: int
    size: int
    payload: bytes | None = None


class SqliteQueue:
    """`ports.queue.Queue` in the file `path` and its successors, and `ports.snapshot.Snapshot` of them."""

    def __init__(self, name: str, clock: Clock, max_bytes: int) -> None:
        self._name = name
        self._clock = clock
        self._max_bytes = max_bytes
        self._writer: Writer
        self._loop = asyncio.get_running_loop()
        self._blocks: dict[int, _Waiting] = {}
        self._ready: deque[int] = deque()
        self._receivers: deque[asyncio.Future[None]] = deque()
        self._next_seq = 1
        self._bytes = 0
        self._events = 0
        self._payload_bytes = 0
        self._closed = False

    @classmethod
    async def open(
        cls, path: Path, clock: Clock, *, max_bytes: int = DEFAULT_MAX_BYTES, vfs: str | None = None
    ) -> SqliteQueue:
        """Open or create the queue; what it holds is received first. `vfs` names a VFS of apsw (tests inject faults).

        Raises Unusable for a file that is not ours, is damaged or in use, NewerFormat, and Unavailable.
        """
        queue = cls(path.name, clock, max_bytes)
        files = QueueFiles(path, vfs)
        queue._writer = Writer(files, queue._loop, queue._settle)
        try:
            queue._restore(await queue._writer.call(files.open))
        except BaseException:
            await queue._writer.close()
            raise
        return queue

    async def put(self, block: Block) -> None:
        """See the port. Takes part in the next transaction, with all the others that wait."""
        size = len(block.payload)
        if self._closed:
            raise Unavailable("the queue is closed")
        if self._bytes + size > self._max_bytes:
            raise Overloaded(f"{self._bytes} of {self._max_bytes} bytes wait in the queue; send it again later")
        put = Put(self._next_seq, block, self._loop.create_future())
        self._next_seq += 1
        self._bytes += size
        self._writer.put(put)
        await put.done

    async def receive(self, max_events: int, wait: float) -> Sequence[Delivery]:
        """See the port. At most 16 MiB (or one block) at a time."""
        if not self._ready and wait > 0 and not self._closed:
            await self._arrival(wait)
        seqs = self._take(max_events)
        try:
            return await self._load(seqs)
        except BaseException:
            self._put_back(seqs)
            raise

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See the port. The deletes ride with the next put, or follow after a tenth of a second."""
        acked = [seq for seq in _seqs(deliveries) if self._forget(seq)]
        if acked:
            self._writer.forget(acked)

    async def release(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
        """See the port. They are the next to be received, in the order given here."""
        for one in deliveries:
            self._keep_payload(self._blocks.get(int(one.receipt)), one.block)
        if delay > 0:
            self._loop.call_later(delay, self._put_back, _seqs(deliveries))
        else:
            self._put_back(_seqs(deliveries))

    async def depth(self) -> QueueDepth:
        """See the port. The age is that of the oldest block's id, a UUIDv7."""
        oldest = next(iter(self._blocks.values()), None)
        age = self._clock.now() / 1e6 - (oldest.id >> 80) / 1e3 if oldest else 0.0
        return QueueDepth(len(self._blocks), self._events, self._bytes, max(0.0, age))

    async def backup(self, directory: str) -> None:
        """Write every block into one file in `directory`, named as ours, while puts go on. Raises Unavailable."""
        await self._writer.backup(Path(directory) / self._name)

    async def close(self) -> None:
        """See the port."""
        if self._closed:
            return
        self._closed = True
        self._wake_receivers()
        await self._writer.close()

    def _restore(self, kept: Sequence[Kept]) -> None:
        for one in kept:
            self._add(one.seq, _Waiting(one.block_id, one.events, one.size))
            self._bytes += one.size
        if kept:
            self._next_seq = kept[-1].seq + 1

    def _settle(self, puts: list[Put], error: HeadraceError | None) -> None:
        """A transaction ended: called by the writer, on the event loop."""
        for put in puts:
            block, done = put.block, put.done
            size = len(block.payload)
            if error is None:
                waiting = _Waiting(block.id, block.events, size)
                self._keep_payload(waiting, block)
                self._add(put.seq, waiting)
            else:
                self._bytes -= size
            if done.done():  # cancelled by a client that hung up
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._wake_receivers()

    def _add(self, seq: int, waiting: _Waiting) -> None:
        self._blocks[seq] = waiting
        self._events += waiting.events
        self._ready.append(seq)

    def _keep_payload(self, waiting: _Waiting | None, block: Block) -> None:
        if waiting and waiting.payload is None and self._payload_bytes + waiting.size <= _PAYLOADS_IN_MEMORY:
            waiting.payload = block.payload
            self._payload_bytes += waiting.size

    def _drop_payload(self, waiting: _Waiting) -> bytes | None:
        payload, waiting.payload = waiting.payload, None
        if payload is not None:
            self._payload_bytes -= waiting.size
        return payload

    def _forget(self, seq: int) -> bool:
        waiting = self._blocks.pop(seq, None)
        if waiting is None:
            return False
        self._drop_payload(waiting)
        self._bytes -= waiting.size
        self._events -= waiting.events
        return True

    def _take(self, max_events: int) -> list[int]:
        taken: list[int] = []
        events = size = 0
        while self._ready and (not taken or (events < max_events and size < _RECEIVE_BYTES)):
            seq = self._ready[0]
            waiting = self._blocks.get(seq)
            if waiting and taken and events + waiting.events > max_events:
                break
            self._ready.popleft()
            if waiting:  # else it was released, and acked all the same
                taken.append(seq)
                events += waiting.events
                size += waiting.size
        return taken

    def _put_back(self, seqs: Sequence[int]) -> None:
        self._ready.extendleft(seq for seq in reversed(seqs) if seq in self._blocks)
        if self._ready:
            self._wake_receivers()

    async def _load(self, seqs: Sequence[int]) -> list[Delivery]:
        deliveries: list[Delivery] = []
        payloads = await self._read([seq for seq in seqs if self._blocks[seq].payload is None])
        for seq in seqs:
            waiting = self._blocks[seq]
            payload = self._drop_payload(waiting) if waiting.payload is not None else payloads.get(seq)
            if payload is not None:  # else it stays out until the next start, which tries again
                deliveries.append(Delivery(Block(waiting.id, payload, waiting.events), seq))
        return deliveries

    async def _read(self, seqs: Sequence[int]) -> dict[int, bytes | None]:
        payloads: dict[int, bytes | None] = {}
        part: list[int] = []
        size = 0
        for seq in seqs:
            part.append(seq)
            size += self._blocks[seq].size
            if size >= _READ_BYTES or seq == seqs[-1]:
                payloads.update(zip(part, await self._writer.read(part), strict=True))
                part, size = [], 0
        return payloads

    async def _arrival(self, wait: float) -> None:
        arrived: asyncio.Future[None] = self._loop.create_future()
        self._receivers.append(arrived)
        timer = self._loop.call_later(wait, _wake, arrived)
        try:
            await arrived
        finally:
            timer.cancel()
            if arrived in self._receivers:
                self._receivers.remove(arrived)

    def _wake_receivers(self) -> None:
        while self._receivers:
            _wake(self._receivers.popleft())


def _wake(receiver: asyncio.Future[None]) -> None:
    if not receiver.done():
        receiver.set_result(None)


def _seqs(deliveries: Sequence[Delivery]) -> list[int]:
    return [int(one.receipt) for one in deliveries]
