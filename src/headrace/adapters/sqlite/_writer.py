"""The one thread that owns the queue's files: puts in, one transaction for all that wait, results back to the loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import apsw

from headrace.adapters.sqlite._files import QueueFiles
from headrace.errors import HeadraceError, OutcomeUnknown, Unavailable
from headrace.model.block import Block

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_IDLE_SECONDS = 0.1  # after so long without a put, acks are deleted without one to ride with


@dataclass(slots=True)
class Put:
    """A block on its way into a file; `done` belongs to the event loop."""

    seq: int
    block: Block
    done: asyncio.Future[None]


Settled = Callable[[list[Put], HeadraceError | None], None]


@dataclass(slots=True)
class _Acked:
    seqs: Sequence[int]


@dataclass(slots=True)
class _Call(Generic[_T]):
    run: Callable[[], _T]
    done: asyncio.Future[_T]


@dataclass(slots=True)
class _Copy:
    steps: Iterator[None]
    done: asyncio.Future[None]


class Writer:
    """`settled(puts, error)` is called on the event loop once for each transaction."""

    def __init__(self, files: QueueFiles, loop: asyncio.AbstractEventLoop, settled: Settled) -> None:
        self._files = files
        self._loop = loop
        self._settled = settled
        self._inbox: SimpleQueue[Put | _Acked | _Call[object] | _Copy] = SimpleQueue()
        self._copies: list[_Copy] = []
        self._running = True
        self._tidy_at = 0.0
        self._thread = threading.Thread(target=self._run, name="queue-writer", daemon=True)
        self._thread.start()

    def put(self, put: Put) -> None:
        self._inbox.put(put)

    def forget(self, seqs: Sequence[int]) -> None:
        self._inbox.put(_Acked(seqs))

    async def call(self, run: Callable[[], _T]) -> _T:
        """Run this in the thread, between two transactions."""
        done: asyncio.Future[_T] = self._loop.create_future()
        self._inbox.put(_Call(run, done))  # type: ignore[arg-type]  # the future has the type of what is run
        return await done

    async def read(self, seqs: Sequence[int]) -> list[bytes | None]:
        """The payloads of blocks."""
        return await self.call(lambda: [self._files.read(seq) for seq in seqs])

    async def backup(self, target: Path) -> None:
        """Copy every block into a new file, a little between each two transactions."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._inbox.put(_Copy(self._files.backup(target), done))
        await done

    async def close(self) -> None:
        """Finish what was handed in before, and end the thread."""
        await self.call(self._stop)
        self._thread.join()

    def _stop(self) -> None:
        self._running = False

    def _run(self) -> None:
        while self._running:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - without its thread the queue would hang for ever
                _log.exception("the queue's thread goes on after an error")
        for copy in self._copies:
            self._answer(copy.done, None, Unavailable("the server is shutting down"))
        self._files.close()

    def _turn(self) -> None:
        puts: list[Put] = []
        calls: list[_Call[object]] = []
        for item in self._gather():
            if isinstance(item, Put):
                puts.append(item)
            elif isinstance(item, _Acked):
                self._files.forget(item.seqs)
            elif isinstance(item, _Call):
                calls.append(item)
            else:
                self._copies.append(item)
        if puts:
            self._commit(puts)
            self._tidy_at = time.monotonic() + _IDLE_SECONDS
        elif self._files.has_work and time.monotonic() >= self._tidy_at:
            self._files.tidy()
        for call in calls:
            self._answer_call(call)
        if self._copies:
            self._copy_on()

    def _gather(self) -> list[Put | _Acked | _Call[object] | _Copy]:
        """What waits; when nothing does, wait for it."""
        inbox = self._inbox
        try:
            items = [inbox.get(timeout=self._patience())]
        except Empty:
            return []
        while not inbox.empty():
            items.append(inbox.get_nowait())
        return items

    def _patience(self) -> float | None:
        if self._copies:
            return 0.0
        return max(0.001, self._tidy_at - time.monotonic()) if self._files.has_work else None

    def _commit(self, puts: list[Put]) -> None:
        error: HeadraceError | None = None
        try:
            self._files.commit([(put.seq, put.block) for put in puts])
        except HeadraceError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001 - those who wait must get an answer
            _log.exception("a commit failed in a way that nobody foresaw")
            error = OutcomeUnknown(f"the queue failed: {type(exc).__name__}")
        self._to_loop(self._settled, puts, error)

    def _answer_call(self, call: _Call[object]) -> None:
        try:
            result = call.run()
        except Exception as exc:  # noqa: BLE001 - it is raised where it is awaited
            self._answer(call.done, None, exc)
        else:
            self._answer(call.done, result, None)

    def _copy_on(self) -> None:
        copy = self._copies[0]
        try:
            if next(copy.steps, self) is not self:
                return
            self._answer(copy.done, None, None)
        except (HeadraceError, apsw.Error, OSError) as exc:
            self._answer(copy.done, None, Unavailable(f"the queue could not be copied: {exc}"))
        self._copies.pop(0)

    def _answer(self, done: asyncio.Future[_T], result: _T, error: Exception | None) -> None:
        self._to_loop(_finish, done, result, error)

    def _to_loop(self, callback: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            _log.warning("the event loop is closed: a result of the queue reaches nobody")


def _finish(done: asyncio.Future[_T], result: _T, error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)
