"""Ports in memory, just enough for the operations room."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError
from headrace.model.audit import AuditRecord
from headrace.model.block import Block, DeadLetter, Delivery, QueueDepth
from headrace.model.metric import Metric
from headrace.model.principal import Principal, Role

ADMIN = Principal("k1", "api_key", "bootstrap", Role.ADMIN)


class Clock:
    def __init__(self) -> None:
        self.us = 1_800_000_000_000_000

    def now(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return self.us / 1e6

    async def sleep(self, seconds: float) -> None:
        self.us += int(seconds * 1e6)


class Audit:
    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    async def add(self, record: AuditRecord) -> None:
        self.records.append(record)

    async def pending(self, limit: int) -> Sequence[AuditRecord]:
        return self.records[:limit]

    async def forwarded(self, ids: Sequence[int]) -> None: ...


class Queue:
    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.error: HeadraceError | None = None
        self.depth_error: BaseException | None = None

    async def put(self, block: Block) -> None:
        if self.error:
            raise self.error
        self.blocks.append(block)

    async def receive(self, max_events: int, wait: float) -> Sequence[Delivery]:
        return []

    async def ack(self, deliveries: Sequence[Delivery]) -> None: ...

    async def release(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> None: ...

    async def depth(self) -> QueueDepth:
        if self.depth_error:
            raise self.depth_error
        return QueueDepth(len(self.blocks), sum(block.events for block in self.blocks), 10, 1.5)

    async def close(self) -> None: ...


class Letters:
    """`on_remove` runs when letters are removed: a letter that dies again comes back through it."""

    def __init__(self, letters: Sequence[DeadLetter] = ()) -> None:
        self.kept = {letter.id: letter for letter in letters}
        self.fail_remove = False

    async def add(self, letters: Sequence[DeadLetter]) -> None:
        self.kept |= {letter.id: letter for letter in letters}

    async def list(
        self, *, bucket_id: int | None = None, since: int | None = None, after: int | None = None, limit: int = 100
    ) -> Sequence[DeadLetter]:
        found = [letter for letter in self._newest_first() if after is None or letter.id < after]
        return [letter for letter in found if bucket_id in (None, letter.bucket_id)][:limit]

    async def take(self, ids: Sequence[int] | None, since: int | None, limit: int) -> Sequence[DeadLetter]:
        if ids is not None:
            return [self.kept[one] for one in ids if one in self.kept][:limit]
        return [letter for letter in self._newest_first() if letter.received_at >= (since or 0)][:limit]

    async def remove(self, ids: Sequence[int]) -> None:
        if self.fail_remove:
            raise OSError("killed here")
        for one in ids:
            del self.kept[one]

    async def count(self) -> int:
        return len(self.kept)

    def _newest_first(self) -> list[DeadLetter]:
        return sorted(self.kept.values(), key=lambda letter: -letter.id)


class Store:
    """The part of Events that health asks."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    async def size(self) -> tuple[int, int]:
        if self.error:
            raise self.error
        return 7, 4096


class Gauges:
    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, metric: Metric, value: float, *labels: str) -> None:
        self.values[metric.name] = value

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class FileSnapshot:
    def __init__(self, name: str, content: bytes, order: list[str] | None = None) -> None:
        self.name, self.content = name, content
        self.order = order if order is not None else []

    async def backup(self, directory: str) -> None:
        self.order.append(self.name)
        (Path(directory) / self.name).write_bytes(self.content)
