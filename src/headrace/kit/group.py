"""Group commit: while one call is under way, later items gather, and the next call takes all of them.

No timer: who comes alone is served at once; who comes in a crowd shares the cost of one fsync.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_TURNS = 3  # of the loop, from a readable socket to an item


class _Waiting(NamedTuple, Generic[T, R]):
    items: Sequence[T]
    done: asyncio.Future[Sequence[R]]


class Group(Generic[T, R]):
    """`act` does something to many items and gives one result for each, in their order; what it raises, all who wait
    for that call get. Bounded: `full()` is raised when more than `most` items wait."""

    def __init__(
        self,
        act: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        at_once: int,
        most: int,
        full: Callable[[], Exception],
    ) -> None:
        self._act = act
        self._at_once = at_once
        self._most = most
        self._full = full
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._count = 0
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, items: Sequence[T]) -> Sequence[R]:
        """The results for these, which are done together."""
        if self._count + len(items) > self._most and self._count:
            raise self._full()
        done: asyncio.Future[Sequence[R]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(items, done))
        self._count += len(items)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="group")
        return await done

    async def close(self) -> None:
        """Finish what was taken."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._settle()
                await self._do(self._take())
        finally:
            self._task = None

    async def _settle(self) -> None:
        """Let the loop bring in the requests that are here already."""
        seen = 0
        while len(self._waiting) > seen:
            seen = len(self._waiting)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    def _take(self) -> list[_Waiting[T, R]]:
        taken: list[_Waiting[T, R]] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0].items) <= self._at_once):
            size += len(self._waiting[0].items)
            taken.append(self._waiting.popleft())
        self._count -= size
        return taken

    async def _do(self, taken: list[_Waiting[T, R]]) -> None:
        try:
            results = await self._act([item for one in taken for item in one.items])
        except Exception as exc:  # noqa: BLE001 - it is raised where it is awaited
            for one in taken:
                if not one.done.done():
                    one.done.set_exception(exc)
            return
        begin = 0
        for one in taken:
            end = begin + len(one.items)
            if not one.done.done():  # who hung up has cancelled its wait
                one.done.set_result(results[begin:end])
            begin = end
