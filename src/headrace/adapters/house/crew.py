"""Runs async functions of the server itself as handlers: those that need what only the server can reach.

They are ours, and trusted not to block the loop. An error of `errors.py` that would come again is the task's end; one
that is worth another try, and anything unforeseen, is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import msgspec

from headrace.errors import HeadraceError, Retriable
from headrace.kit.json_value import as_json
from headrace.model.task import MAX_RESULT_BYTES, Ending, Task
from headrace.model.task_kind import DEFAULT_TIMEOUT
from headrace.ports.clock import Clock
from headrace.ports.crew import Ended, HouseHandler, Logged, Progress, Report

_log = logging.getLogger(__name__)
_FORCE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Context:
    """The Attempt of one attempt."""

    task: Task
    _report: Callable[[Report], None]
    _clock: Clock

    def progress(self, value: object) -> None:
        self._report(Progress(self.task, as_json(value)))

    def log(self, level: str, message: str, **attributes: object) -> None:
        fields = as_json(attributes) if attributes else b""
        self._report(Logged(self.task, self._clock.now(), level, message, fields))



@dataclass(slots=True, eq=False)
class _Running:
    task: Task
    doing: asyncio.Task[object] | None = None
    ending: Ending | None = None
    is_late: bool = False
    is_over: bool = False
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class HouseCrew:
    """`at_once`: how many tasks run at the same time. `timeouts` are in seconds, by type."""

    def __init__(
        self,
        handlers: Mapping[str, HouseHandler],
        clock: Clock,
        *,
        at_once: int = 4,
        timeouts: Mapping[str, float] | None = None,
    ) -> None:
        self._handlers = dict(handlers)
        self._clock = clock
        self._at_once = at_once
        self._timeouts = timeouts or {}
        self._running: set[_Running] = set()
        self._reports: list[Report] = []
        self._heard = asyncio.Event()
        self._idle = asyncio.Event()
        self._is_closing = False

    @property
    def types(self) -> frozenset[str]:
        return frozenset(self._handlers)

    def room(self) -> int:
        return 0 if self._is_closing else max(self._at_once - len(self._running), 0)

    def run(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._begin(_Running(task))

    def stop(self, ids: Sequence[int], ending: Ending = Ending.CANCELLED) -> None:
        wanted = frozenset(ids)
        for running in [running for running in self._running if running.task.id in wanted]:
            if running.ending is None:
                running.timers.append(asyncio.get_running_loop().call_later(_FORCE_SECONDS, self._give_up, running))
            if running.ending is not Ending.RELEASED:
                running.ending = ending
            if running.doing is not None:
                running.doing.cancel()

    async def reports(self) -> Sequence[Report]:
        await self._heard.wait()
        self._heard.clear()
        reports, self._reports = self._reports, []
        return reports

    async def close(self, seconds: float) -> None:
        self._is_closing = True
        if self._running:
            try:
                async with asyncio.timeout(seconds):
                    await self._idle.wait()
            except TimeoutError:
                pass
        left = list(self._running)
        self.stop([running.task.id for running in left], Ending.RELEASED)
        await asyncio.sleep(0)  # their last words
        for running in left:
            self._give_up(running)

    def _begin(self, running: _Running) -> None:
        loop, task = asyncio.get_running_loop(), running.task
        self._running.add(running)
        self._idle.clear()
        timeout = task.timeout or self._timeouts.get(task.type, DEFAULT_TIMEOUT)
        running.timers.append(loop.call_later(timeout, self._time_out, running))
        running.doing = loop.create_task(self._call(running))
        running.doing.add_done_callback(partial(self._on_done, running, timeout))

    async def _call(self, running: _Running) -> object:
        task = running.task
        context = _Context(task, partial(self._say, running), self._clock)
        return await self._handlers[task.type](context, msgspec.json.decode(task.args, type=dict[str, Any]))

    def _say(self, running: _Running, report: Report) -> None:
        if not running.is_over:
            self._report(report)

    def _time_out(self, running: _Running) -> None:
        running.is_late = True
        running.timers.append(asyncio.get_running_loop().call_later(_FORCE_SECONDS, self._give_up, running))
        if running.doing is not None:
            running.doing.cancel()

    def _give_up(self, running: _Running) -> None:
        """It does not stop: its task ends without it. Nothing can end it; its place is free for another."""
        if not running.is_over:
            _log.error("a task of the house does not stop", extra={"task": running.task.type})
            error = None if running.ending else "it did not stop when its time was over"
            self._over(running, Ended(running.task, running.ending or Ending.RETRY, error=error))

    def _on_done(self, running: _Running, timeout: float, doing: asyncio.Task[object]) -> None:
        error = asyncio.CancelledError() if doing.cancelled() else doing.exception()
        if running.is_over:
            return
        task = running.task
        if error is None:
            self._over(running, _succeeded(task, doing.result()))
        elif running.ending is not None:
            self._over(running, Ended(task, running.ending))
        elif running.is_late and isinstance(error, asyncio.CancelledError):
            self._over(running, Ended(task, Ending.RETRY, error=f"timed out after {timeout:g} s"))
        else:
            self._over(running, self._failed(task, error))

    def _failed(self, task: Task, error: BaseException) -> Ended:
        if isinstance(error, Retriable):
            return Ended(task, Ending.RETRY, error=error.detail)  # its `retry_after` is for clients, who wait for it
        if isinstance(error, HeadraceError):
            return Ended(task, Ending.FAILED, error=error.detail)
        text = "".join(traceback.format_exception(error))[-4_000:]
        self._report(Logged(task, self._clock.now(), "error", text))
        return Ended(task, Ending.RETRY, error=f"{type(error).__name__}: {error}".removesuffix(": "))

    def _over(self, running: _Running, ended: Ended) -> None:
        running.is_over = True
        for timer in running.timers:
            timer.cancel()
        self._running.discard(running)
        if not self._running:
            self._idle.set()
        self._report(ended)

    def _report(self, report: Report) -> None:
        self._reports.append(report)
        self._heard.set()


def _succeeded(task: Task, value: object) -> Ended:
    try:
        result = as_json(value)
    except ValueError as exc:
        return Ended(task, Ending.FAILED, error=f"its result is not JSON: {exc}")
    if len(result) > MAX_RESULT_BYTES:
        error = f"its result has {len(result)} bytes; at most {MAX_RESULT_BYTES} are kept"
        return Ended(task, Ending.FAILED, error=error)
    return Ended(task, Ending.SUCCEEDED, result)
