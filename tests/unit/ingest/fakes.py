"""The least that the ingest features need around them, in memory and under control of the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from headrace.errors import HeadraceError, Poison
from headrace.kit.ids import joined
from headrace.model.block import Block, DeadLetter, Delivery
from headrace.model.bucket import Bucket
from headrace.model.event import EventBatch, Written
from headrace.model.metric import Metric
from headrace.ports.bus import Stored

NOW = 1_700_000_000_000_000
BUCKET = Bucket(7, "app", "", None, NOW)


class FixedClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> int:
        return NOW

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


class NoMetrics:
    def add(self, metric: Metric, amount: float = 1, *labels: str) -> None: ...

    def set(self, metric: Metric, value: float, *labels: str) -> None: ...

    def observe(self, metric: Metric, value: float, *labels: str) -> None: ...

    def watch(self, gauge: Metric, read: Callable[[], float]) -> None: ...

    def values(self, metric: Metric) -> dict[tuple[str, ...], float]:
        return {}

    def render(self) -> tuple[str, bytes]:
        return "", b""


class HeldQueue:
    """Commits wait until the test says `go`; `fail` makes the next one end with an error."""

    def __init__(self, *, held: bool = False) -> None:
        self.blocks: list[Block] = []
        self.waiting: list[Delivery] = []
        self.acked: list[Delivery] = []
        self.released: list[Delivery] = []
        self.fail: HeadraceError | None = None
        self._go = asyncio.Event()
        if not held:
            self._go.set()

    def go(self) -> None:
        self._go.set()

    async def put(self, block: Block) -> None:
        await self._go.wait()
        if self.fail:
            error, self.fail = self.fail, None
            raise error
        self.blocks.append(block)
        self.waiting.append(Delivery(block, len(self.blocks)))

    async def receive(self, max_events: int, wait: float) -> Sequence[Delivery]:
        taken, self.waiting = self.waiting, []
        return taken

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        self.acked += deliveries

    async def release(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None:
        self.released += deliveries


class ListedEvents:
    """A store that keeps batches in a list, and takes every message that contains "poison" for undecodable data."""

    def __init__(self) -> None:
        self.batches: list[EventBatch] = []
        self.error: HeadraceError | None = None

    async def check(self, batch: EventBatch) -> None:
        if any("poison" in (message or "") for message in batch.message):
            raise Poison("the data cannot be stored")

    async def write(self, batch: EventBatch) -> Written:
        if self.error:
            error, self.error = self.error, None
            raise error
        await self.check(batch)
        self.batches.append(batch)
        return Written(len(batch), 1)

    async def stored_blocks(self, block_ids: Sequence[int], bucket_id: int) -> frozenset[int]:
        return frozenset(block for batch in self.batches for block, _ in batch.blocks) & frozenset(block_ids)

    @property
    def messages(self) -> list[str | None]:
        return [message for batch in self.batches for message in batch.message]

    @property
    def ids(self) -> list[int]:
        return [joined(hi, lo) for batch in self.batches for hi, lo in zip(batch.id_hi, batch.id_lo, strict=True)]


class ListedLetters:
    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        self.letters += letters


class Silent:
    """Both a cache of recent events and a bus: remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Stored] = []

    def add(self, batch: EventBatch, written: Written) -> None: ...

    async def publish(self, stored: Stored) -> None:
        self.told.append(stored)
