"""The one thread that writes the task table: calls in, one transaction for all that wait, results back to the loop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from headrace.adapters.sqlite._task_book import Book
from headrace.adapters.sqlite._task_store import TaskStore
from headrace.errors import HeadraceError, OutcomeUnknown, Unavailable

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")
_T = TypeVar("_T")

_MOST_CALLS = 256  # of one transaction: 10 ms, for which the first of them waits
_IDLE_SECONDS = 0.2


@dataclass(slots=True)
class _Call:
    """A change that waits for its transaction; `done` belongs to the event loop."""

    run: Callable[[Book], Any]
    done: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def __call__(self, book: Book) -> None:
        try:
            self.result = self.run(book)
        except HeadraceError as exc:  # raised before anything was changed
            self.error = exc


@dataclass(slots=True)
class _Copy:
    steps: Iterator[None]
    done: asyncio.Future[None]


class TaskWriter:
    """`news` is called on the event loop after each transaction that may have made something claimable."""

    def __init__(self, store: TaskStore, loop: asyncio.AbstractEventLoop, news: Callable[[], None]) -> None:
        self._store = store
        self._loop = loop
        self._news = news
        self._inbox: SimpleQueue[_Call | _Copy | Callable[[], None]] = SimpleQueue()
        self._copies: list[_Copy] = []
        self._running = True
        self._thread = threading.Thread(target=self._run, name="task-writer", daemon=True)
        self._thread.start()

    async def open(self) -> None:
        """Raises Unusable, NewerFormat or Unavailable."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._inbox.put(lambda: self._open(done))
        await done

    async def change(
        self, run: Callable[Concatenate[Book, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """What `run` makes of the book; durable. Raises Unavailable, OutcomeUnknown and what `run` raises."""
        if not self._running:
            raise Unavailable("the task table is closed")
        call = _Call(lambda book: run(book, *args, **kwargs), self._loop.create_future())
        self._inbox.put(call)
        result: _T = await call.done
        return result

    async def backup(self, target: Path) -> None:
        """Copy the file, a little between each two transactions."""
        copy = _Copy(self._store.backup(target), self._loop.create_future())
        self._inbox.put(copy)
        await copy.done

    async def close(self) -> None:
        """Finish what was handed in before, and end the thread."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._inbox.put(lambda: self._stop(done))
        await done
        self._thread.join()

    def _run(self) -> None:
        while self._running:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - without its thread the table would hang for ever
                _log.exception("the thread of the task table goes on after an error")
        for copy in self._copies:
            self._to_loop(_settle, [(copy.done, None, Unavailable("the server is shutting down"))])

    def _turn(self) -> None:
        calls: list[_Call] = []
        orders: list[Callable[[], None]] = []
        for item in self._gather():
            if isinstance(item, _Call):
                calls.append(item)
            elif isinstance(item, _Copy):
                self._copies.append(item)
            else:
                orders.append(item)
        if calls:
            self._transact(calls)
        elif not orders and self._store.has_work:
            self._store.checkpoint()
        for order in orders:
            order()
        if self._copies:
            self._copy_on()

    def _gather(self) -> list[_Call | _Copy | Callable[[], None]]:
        """What waits; when nothing does, wait for it."""
        inbox = self._inbox
        patience = 0.0 if self._copies else _IDLE_SECONDS if self._store.has_work else None
        try:
            items = [inbox.get(timeout=patience)] if patience != 0.0 else [inbox.get_nowait()]
        except Empty:
            return []
        while len(items) < _MOST_CALLS and not inbox.empty():
            items.append(inbox.get_nowait())
        return items

    def _transact(self, calls: list[_Call]) -> None:
        """All calls in one transaction. When one of several breaks it, each has one of its own."""
        try:
            news = self._store.transact(lambda book: _run_all(book, calls))
        except HeadraceError as exc:
            self._answer(calls, exc)
        except Exception as exc:  # noqa: BLE001 - those who wait must get an answer
            if len(calls) > 1:
                for call in calls:
                    call.result = call.error = None
                    self._transact([call])
                return
            _log.exception("a change of the task table failed in a way that nobody foresaw")
            self._answer(calls, OutcomeUnknown(f"the task table failed: {type(exc).__name__}"))
        else:
            self._answer(calls, None)
            if news:
                self._to_loop(self._news)

    def _answer(self, calls: list[_Call], error: Exception | None) -> None:
        self._to_loop(_settle, [(call.done, call.result, error or call.error) for call in calls])

    def _open(self, done: asyncio.Future[None]) -> None:
        error: Exception | None = None
        try:
            self._store.open()
        except Exception as exc:  # noqa: BLE001 - it is raised where it is awaited
            error = exc
        self._to_loop(_settle, [(done, None, error)])

    def _stop(self, done: asyncio.Future[None]) -> None:
        self._running = False
        self._store.close()
        self._to_loop(_settle, [(done, None, None)])

    def _copy_on(self) -> None:
        copy = self._copies[0]
        error: Exception | None = None
        try:
            if next(copy.steps, self) is not self:
                return
        except (HeadraceError, apsw.Error, OSError) as exc:
            error = Unavailable(f"the task table could not be copied: {exc}")
        self._copies.pop(0)
        self._to_loop(_settle, [(copy.done, None, error)])

    def _to_loop(self, callback: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            _log.warning("the event loop is closed: a result of the task table reaches nobody")


def _run_all(book: Book, calls: list[_Call]) -> bool:
    """Whether something may have become claimable."""
    for call in calls:
        call(book)
    news, book.lanes.news = book.lanes.news, False
    return news


def _settle(answers: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    for done, result, error in answers:
        if done.done():  # cancelled by a client that hung up
            continue
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
