"""Runs handlers in child processes: what a handler breaks, it breaks there.

Tasks are handed to the child with most room, at most `concurrency` each. Beyond that the crew holds a few more while
they are short (what was done in the last 50 ms): a claim then brings more than there is room for at this moment, and
costs less. What happens in one turn of a child's loop arrives as one message.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from headrace.adapters.processes._seat import Crewing, Seat
from headrace.model.child_message import End, Line
from headrace.model.task import Ending, Task
from headrace.ports.crew import Ended, Logged, Progress, Report

_AHEAD_SECONDS: Final = 0.05
_MOST_AHEAD: Final = 500
_WINDOW_SECONDS: Final = 0.1  # over which we count what was done
_WAIT_SECONDS: Final = 1.0  # what was taken in advance and cannot begin by then goes back
_LOOK_SECONDS: Final = 0.5
_HELD_BYTES: Final = 32 * 1024 * 1024  # of reports that nobody took yet, and of arguments taken in advance


class ProcessCrew:
    """`start` before anything else; it has no types and no room until a child is ready."""

    def __init__(self, crewing: Crewing) -> None:
        self._crewing = crewing
        self._seats = [Seat(crewing, self) for _ in range(crewing.processes)]
        self._types: frozenset[str] = frozenset()
        self._waiting: deque[tuple[float, Task]] = deque()
        self._waiting_bytes = 0
        self._reports: list[Report] = []
        self._reported_bytes = 0
        self._is_paused = self._is_closing = False
        self._heard, self._over = asyncio.Event(), asyncio.Event()
        self._done = 0
        self._window = 0.0
        self._ahead = 0
        self._look: asyncio.TimerHandle | None = None

    def start(self) -> None:
        for seat in self._seats:
            seat.open()

    @property
    def types(self) -> frozenset[str]:
        return self._types

    def pids(self) -> list[int]:
        """Of the children that are ready."""
        return [pid for seat in self._seats for pid in seat.pids()]

    def room(self) -> int:
        if self._is_closing or self._is_paused:
            return 0
        free = sum(seat.free for seat in self._seats)
        if not free and not any(seat.is_ready for seat in self._seats):
            return 0
        ahead = self._ahead_now() if self._waiting_bytes < _HELD_BYTES else 0
        if len(self._waiting) > ahead // 2:  # then in one go: as each place falls free, a claim would bring one task
            ahead = 0
        return max(free + ahead - len(self._waiting), 0)

    def run(self, tasks: Sequence[Task]) -> None:
        now = time.monotonic()
        for task in tasks:
            self._waiting.append((now, task))
            self._waiting_bytes += len(task.args)
        self._dispatch()
        self._look_soon()

    def stop(self, ids: Sequence[int], ending: Ending = Ending.CANCELLED) -> None:
        wanted = frozenset(ids)
        for since, task in [entry for entry in self._waiting if entry[1].id in wanted]:
            self._waiting.remove((since, task))
            self._waiting_bytes -= len(task.args)
            self.over(task, ending)
        for seat in self._seats:
            seat.stop(wanted, ending)

    async def reports(self) -> Sequence[Report]:
        await self._heard.wait()
        self._heard.clear()
        reports, self._reports = self._reports, []
        self._reported_bytes = 0
        self._pause(False)
        return reports

    async def close(self, seconds: float) -> None:
        self._is_closing = True
        self._over.clear()
        while self._waiting:
            self.over(self._waiting.popleft()[1], Ending.RELEASED)
        if self._is_busy():
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._over.wait()
        if self._look is not None:
            self._look.cancel()
        await asyncio.gather(*(seat.close() for seat in self._seats))

    # --- what seats say

    def logged(self, task: Task, line: Line) -> None:
        self._report(Logged(task, line.time, line.level, line.message, line.attributes), len(line.message) * 4)

    def progressed(self, task: Task, value: bytes) -> None:
        self._report(Progress(task, value), len(value))

    def ended(self, task: Task, ending: Ending, end: End) -> None:
        self._done += 1
        self._report(Ended(task, ending, end.result, end.error, end.retry_after), len(end.result or b""))

    def over(self, task: Task, ending: Ending, error: str | None = None) -> None:
        self._report(Ended(task, ending, None, error), 0)

    def changed(self) -> None:
        ready = [seat for seat in self._seats if seat.is_ready]
        if ready:
            self._types = frozenset(ready[0].timeouts)
        self._dispatch()
        if not self._is_busy():
            self._over.set()  # for whoever closes; nobody else waits for it

    # --- inside

    def _is_busy(self) -> bool:
        return any(seat.held() for seat in self._seats)

    def _report(self, report: Report, size: int) -> None:
        self._reports.append(report)
        self._reported_bytes += size + 500
        self._heard.set()
        if self._reported_bytes > _HELD_BYTES:
            self._pause(True)

    def _pause(self, is_paused: bool) -> None:
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            for seat in self._seats:
                seat.pause(is_paused)

    def _dispatch(self) -> None:
        """What a death interrupted first, then what waits; one message for each seat."""
        for seat in self._seats:
            if seat.suspects or seat.again:
                seat.resume()
        if not self._waiting or self._is_closing:
            return
        if len(self._seats) == 1:
            self._fill(self._seats[0], self._seats[0].free)
            return
        shares = dict.fromkeys(range(len(self._seats)), 0)
        free = [seat.free for seat in self._seats]
        for _ in range(min(len(self._waiting), sum(free))):
            most = max(range(len(free)), key=free.__getitem__)
            free[most] -= 1
            shares[most] += 1
        for place, share in shares.items():
            self._fill(self._seats[place], share)

    def _fill(self, seat: Seat, share: int) -> None:
        tasks = [self._waiting.popleft()[1] for _ in range(min(share, len(self._waiting)))]
        if tasks:
            self._waiting_bytes -= sum(len(task.args) for task in tasks)
            seat.begin(tasks)

    def _ahead_now(self) -> int:
        now = time.monotonic()
        passed = now - self._window
        if passed >= _WINDOW_SECONDS:
            self._ahead = min(int(self._done * _AHEAD_SECONDS / passed), _MOST_AHEAD)
            self._done, self._window = 0, now
        return self._ahead

    def _look_soon(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_after)

    def _look_after(self) -> None:
        """Only while there is something to look after: an idle crew does nothing."""
        self._look = None
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] + _WAIT_SECONDS < now:
            task = self._waiting.popleft()[1]
            self._waiting_bytes -= len(task.args)
            self.over(task, Ending.RELEASED)
        for seat in self._seats:
            seat.force(now)
        if self._waiting or self._is_busy():
            self._look_soon()
