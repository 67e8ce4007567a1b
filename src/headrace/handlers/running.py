"""One attempt of a task in this process: begun, asked to stop, timed out, and how it ended."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, Future, thread
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Final, Protocol

import pydantic

from headrace.handlers.context import Context, Log
from headrace.handlers.handler import Handler
from headrace.handlers.outcome import Cancelled, Failed, RetryLater
from headrace.handlers.signature import faults_of
from headrace.kit.ids import format_id
from headrace.kit.json_value import as_json
from headrace.model.child_message import MAX_ERROR_LETTERS, PLACES, Begin, End, Line
from headrace.model.task import MAX_RESULT_BYTES, Ending

_ABOVE: Final = frozenset((__file__, thread.__file__))
_SUCCEEDED: Final = PLACES[Ending.SUCCEEDED]


class Outbox(Protocol):
    """Takes what is to be told; called on the loop's thread, except `line` and `progress`, which any thread calls."""

    def line(self, line: Line) -> None: ...
    def progress(self, number: int, value: bytes) -> None: ...
    def end(self, end: End) -> None: ...
    def stuck(self, number: int) -> None: ...


class Running:
    """An attempt. `start` returns at once; the outbox hears of the end, once."""

    __slots__ = ("_begin", "_context", "_handler", "_is_late", "_is_over", "_outbox", "_stopping", "_task", "_timer")

    def __init__(self, begin: Begin, handler: Handler, outbox: Outbox) -> None:
        self._begin = begin
        self._handler = handler
        self._outbox = outbox
        self._context: Context | None = None
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_late = self._is_over = self._stopping = False

    def start(self, loop: asyncio.AbstractEventLoop, threads: Executor) -> None:
        begin, handler = self._begin, self._handler
        try:
            arguments = handler.signature.read(begin.args)
        except pydantic.ValidationError as exc:
            self._refuse(exc)
            return
        if handler.signature.context is not None:
            arguments[handler.signature.context] = self._make_context()
        if handler.is_inline:
            self._call_inline(arguments)
            return
        self._timer = loop.call_later(begin.timeout, self._time_out)
        if handler.is_async:
            self._task = loop.create_task(handler.function(**arguments))
            self._task.add_done_callback(self._on_task)
        else:
            call = partial(copy_context().run, partial(handler.function, **arguments))
            threads.submit(call).add_done_callback(partial(_hand_over, loop, self._on_future))

    def stop(self) -> None:
        """Told to the handler; whoever does not listen goes on."""
        self._stopping = True
        self._tell()

    def _tell(self) -> None:
        if self._context is not None:
            self._context.ask_to_stop()
        if self._task is not None:
            self._task.cancel()

    def _time_out(self) -> None:
        self._is_late = True
        self._tell()
        if self._task is None:
            self._outbox.stuck(self._begin.number)

    def _make_context(self) -> Context:
        begin, outbox = self._begin, self._outbox
        log = Log(begin.number, outbox.line)
        self._context = Context(
            format_id(int.from_bytes(begin.id, "big")), begin.attempt, begin.lease, log,
            partial(outbox.progress, begin.number),
        )  # fmt: skip
        return self._context

    def _call_inline(self, arguments: dict[str, object]) -> None:
        try:
            value = self._handler.function(**arguments)
        except Exception as exc:  # noqa: BLE001  # whatever a handler raises is its task's
            self._fail(exc)
        else:
            self._succeed(value)

    def _on_task(self, task: asyncio.Task[object]) -> None:
        error: BaseException | None = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._succeed(task.result())
        else:
            self._fail(error)

    def _on_future(self, future: Future[object]) -> None:
        error = future.exception()
        if error is None:
            self._succeed(future.result())
        else:
            self._fail(error)

    def _succeed(self, value: object) -> None:
        try:
            result = as_json(value)
        except ValueError as exc:
            self._end(Ending.FAILED, f"its result is not JSON: {exc}")
            return
        if len(result) > MAX_RESULT_BYTES:
            self._end(Ending.FAILED, f"its result has {len(result)} bytes; at most {MAX_RESULT_BYTES} are kept")
            return
        self._close(End(self._begin.number, _SUCCEEDED, result))

    def _fail(self, exc: BaseException) -> None:
        is_cancel = isinstance(exc, asyncio.CancelledError | Cancelled)
        if self._stopping and is_cancel:
            self._end(Ending.CANCELLED)
        elif self._is_late and is_cancel:
            self._end(Ending.RETRY, f"timed out after {self._begin.timeout:g} s")
        elif isinstance(exc, Failed):
            self._end(Ending.FAILED, str(exc) or "failed")
        elif isinstance(exc, RetryLater):
            self._end(Ending.RETRY, str(exc), exc.after)
        else:
            self._log_traceback(exc)
            self._end(Ending.RETRY, _text(exc))

    def _refuse(self, exc: pydantic.ValidationError) -> None:
        faults = "; ".join(f"{fault.field}: {fault.detail}" for fault in faults_of(exc, self._begin.args))
        self._end(Ending.FAILED, f"its args do not fit: {faults}")

    def _log_traceback(self, exc: BaseException) -> None:
        """Without the frames above the handler's. Its end tells most, so the beginning is what is cut."""
        below = exc.__traceback__
        while below is not None and below.tb_next is not None and below.tb_frame.f_code.co_filename in _ABOVE:
            below = below.tb_next
        try:
            text = "".join(traceback.format_exception(type(exc), exc, below))[-MAX_ERROR_LETTERS:]
        except Exception:  # noqa: BLE001  # an exception whose own text raises
            text = f"{type(exc).__name__} (its text cannot be shown)"
        Log(self._begin.number, self._outbox.line).error(text)

    def _end(self, ending: Ending, error: str | None = None, retry_after: float | None = None) -> None:
        text = error and error[:MAX_ERROR_LETTERS].encode("utf-8", "replace").decode()
        self._close(End(self._begin.number, PLACES[ending], None, text, retry_after))

    def _close(self, end: End) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
        self._outbox.end(end)


def _hand_over(
    loop: asyncio.AbstractEventLoop, on_done: Callable[[Future[object]], None], done: Future[object]
) -> None:
    """From the handler's thread to the loop's."""
    with suppress(RuntimeError):  # the loop is closed: nobody wants to know
        loop.call_soon_threadsafe(on_done, done)


def _text(exc: BaseException) -> str:
    try:
        return f"{type(exc).__name__}: {exc}".removesuffix(": ")
    except Exception:  # noqa: BLE001  # an exception whose own text raises
        return type(exc).__name__
