"""The embedded queue as what all data moves away from: its files are read where they are, and stay as they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from headrace.adapters.sqlite._file import QueueFile
from headrace.adapters.sqlite._files import numbered
from headrace.errors import Unavailable
from headrace.model.block import Block

_PART_BYTES = 4 << 20
_NO_LIMIT = 2**63 - 1


class SqliteMoveQueue:
    """`ports.move.QueueFrom`: the file `path` and its successors."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def count(self) -> int:
        return await asyncio.to_thread(self._count)

    async def pages(self) -> AsyncIterator[Sequence[Block]]:
        for _, path in numbered(self._path):
            after = -1
            while part := await asyncio.to_thread(_part, path, after):
                yield [block for _, block in part]
                after = part[-1][0]

    def _count(self) -> int:
        total = 0
        for _, path in numbered(self._path):
            with _opened(path) as file:
                total += sum(1 for _ in file.index())
        return total


def _part(path: Path, after: int) -> list[tuple[int, Block]]:
    with _opened(path) as file:
        return next(file.parts(_NO_LIMIT, _PART_BYTES, after), [])


@contextmanager
def _opened(path: Path) -> Iterator[QueueFile]:
    """Opened anew each time, which takes a millisecond: nothing stays locked, whatever becomes of the caller."""
    try:
        file = QueueFile.open(path)
        try:
            yield file
        finally:
            file.close()
    except (apsw.Error, OSError) as exc:
        raise Unavailable(f"{path} cannot be read: {exc}") from exc
