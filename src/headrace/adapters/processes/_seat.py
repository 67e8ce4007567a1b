"""A seat of the crew: a child process and, when it dies, its successor; what runs there, and whose fault a death is.

When a child dies with one task running, that task is to blame. With several, nobody can tell: they are suspects, and
the next child runs them one by one, each alone, until one kills it again. Leases and attempts stay what they were.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Protocol

from headrace.adapters.processes._process import ChildProcess
from headrace.model.child_message import ENDINGS, Begin, End, Hello, Line, Message, Orders
from headrace.model.task import Ending, Task
from headrace.model.task_kind import DEFAULT_TIMEOUT

_log = logging.getLogger("headrace.adapters.processes.crew")

_START_SECONDS: Final = 60.0  # for its imports
_FORCE_SECONDS: Final = 10.0  # after `stop`, and past a timeout that the child itself should have seen to
_LIVED_SECONDS: Final = 10.0  # after so long the next death counts as the first
_DELAY, _LONGEST_DELAY = 0.05, 1.0  # before a child that died at work is replaced, doubling
_START_DELAY, _LONGEST_START_DELAY = 0.5, 30.0  # before one that could not even start is: its modules have to change


@dataclass(frozen=True, slots=True)
class Crewing:
    """What children are started with: the modules of their handlers, how many tasks each runs at once, and the private
    networks that they may reach."""

    modules: tuple[str, ...] = ()
    processes: int = 1
    concurrency: int = 10
    networks: tuple[str, ...] = ()


class Listener(Protocol):
    """The crew, as its seats see it."""

    def logged(self, task: Task, line: Line) -> None: ...
    def progressed(self, task: Task, value: bytes) -> None: ...
    def ended(self, task: Task, ending: Ending, end: End) -> None: ...
    def over(self, task: Task, ending: Ending, error: str | None = None) -> None: ...
    def changed(self) -> None: ...


@dataclass(slots=True, eq=False)
class Running:
    """A task in a child. `ending`: it is asked to stop, and ends like this; `verdict`: why its child is killed."""

    task: Task
    force_at: float
    ending: Ending | None = None
    verdict: str | None = None


@dataclass(slots=True, eq=False)
class Seat:
    crewing: Crewing
    listener: Listener
    running: dict[int, Running] = field(default_factory=dict)
    suspects: deque[Task] = field(default_factory=deque)
    again: deque[Task] = field(default_factory=deque)
    """To be begun anew, and under no suspicion."""
    timeouts: dict[str, float] = field(default_factory=dict)
    is_ready: bool = False
    _child: ChildProcess | None = None
    _keeper: asyncio.Task[None] | None = None
    _number: int = 0
    _deaths: int = 0
    _failed_starts: int = 0
    _born: float = 0.0
    _has_begun: bool = False
    _is_closing: bool = False
    _was_killed: bool = False
    _fault: str = ""

    # --- a child is there

    def open(self) -> None:
        self._keeper = asyncio.get_running_loop().create_task(self._start(0.0))

    async def _start(self, delay: float) -> None:
        await asyncio.sleep(delay)
        self.is_ready = self._was_killed = False
        self._fault = ""
        self._born = time.monotonic()
        self._child = child = ChildProcess(self._on_message, self._on_end)
        try:
            await child.start(self.crewing.modules, self.crewing.concurrency, self.crewing.networks)
        except OSError as exc:
            self._fault = f"the system starts no process: {exc}"
            self._on_end(-1)
            return
        await asyncio.sleep(_START_SECONDS)
        if not self.is_ready:
            self._fault = f"it was not ready after {_START_SECONDS:g} s"
            child.kill()

    def pids(self) -> list[int]:
        return [self._child.pid] if self._child is not None and self.is_ready else []

    async def close(self) -> None:
        """What still runs ends as RELEASED."""
        self._is_closing = True
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if self._child is not None:
            if self.running:
                self._child.kill()
            await self._child.leave(1.0)
        self._let_go()

    def pause(self, is_paused: bool) -> None:
        if self._child is not None:
            self._child.pause(is_paused)

    # --- what runs

    @property
    def free(self) -> int:
        """How many more it can begin now. While there are suspects it does nothing else."""
        if not self.is_ready or self._was_killed or self.suspects:
            return 0
        return self.crewing.concurrency - len(self.running)

    def held(self) -> int:
        return len(self.running) + len(self.suspects) + len(self.again)

    def resume(self) -> None:
        """Begin what a death interrupted, as far as it may run now."""
        if not self.is_ready or self._was_killed:
            return
        if self.suspects:
            if not self.running:
                self._begin([self.suspects[0]])
        elif self.again and self.free:
            self._begin([self.again.popleft() for _ in range(min(self.free, len(self.again)))])

    def begin(self, tasks: Sequence[Task]) -> None:
        self._begin(tasks)

    def _begin(self, tasks: Sequence[Task]) -> None:
        assert self._child is not None
        now, orders = time.monotonic(), []
        for task in tasks:
            self._number += 1
            timeout = task.timeout or self.timeouts.get(task.type, DEFAULT_TIMEOUT)
            self.running[self._number] = Running(task, now + timeout + _FORCE_SECONDS)
            orders.append(Begin(
                self._number, task.id.to_bytes(16, "big"), task.type, task.args, task.attempt, task.lease, timeout,
            ))  # fmt: skip
        self._child.order(Orders(orders))

    def stop(self, ids: frozenset[int], ending: Ending) -> None:
        """Those that run are asked; those that wait to be begun anew end at once."""
        numbers = []
        for number, running in self.running.items():
            if running.task.id in ids and running.ending is not Ending.RELEASED:
                if running.ending is None:
                    running.force_at = min(running.force_at, time.monotonic() + _FORCE_SECONDS)
                    numbers.append(number)
                running.ending = ending
        if numbers and self._child is not None:
            self._child.order(Orders([], numbers))
        alone = {running.task.id for running in self.running.values()}
        for waiting in (self.suspects, self.again):
            for task in [task for task in waiting if task.id in ids and task.id not in alone]:
                waiting.remove(task)
                self.listener.over(task, ending)

    def force(self, now: float) -> None:
        """End the child when a task in it does not end by itself, though it should have."""
        for running in self.running.values():
            if running.force_at <= now and running.verdict is None:
                self._condemn(running)

    def _condemn(self, running: Running) -> None:
        timeout = running.task.timeout or self.timeouts.get(running.task.type, DEFAULT_TIMEOUT)
        running.verdict = f"timed out after {timeout:g} s"
        _log.warning(
            "a task does not stop: its process is ended", extra={"task": running.task.type, "reason": running.verdict}
        )
        self._was_killed = True
        if self._child is not None:
            self._child.kill()

    # --- what the child says

    def _on_message(self, message: Message) -> None:
        if isinstance(message, Hello):
            self._on_hello(message)
            return
        for line in message.lines:
            if (running := self.running.get(line.number)) is not None:
                self.listener.logged(running.task, line)
        for number, value in message.progress.items():
            if (running := self.running.get(number)) is not None:
                self.listener.progressed(running.task, value)
        for end in message.ended:
            if (running := self.running.pop(end.number, None)) is not None:
                self._ended(running, end)
        for number in message.stuck:
            if (running := self.running.get(number)) is not None and running.verdict is None:
                self._condemn(running)
        self.listener.changed()

    def _on_hello(self, hello: Hello) -> None:
        if hello.fault:
            self._fault = hello.fault
            if self._child is not None:
                self._child.kill()
            return
        self.timeouts = hello.timeouts
        self.is_ready = True
        self._failed_starts = 0
        self.listener.changed()

    def _ended(self, running: Running, end: End) -> None:
        if self.suspects and self.suspects[0] is running.task:
            self.suspects.popleft()
        ending = ENDINGS[end.ending]
        if running.ending is not None and ending in (Ending.RETRY, Ending.CANCELLED):
            ending, end = running.ending, End(end.number, end.ending)
        self.listener.ended(running.task, ending, end)

    # --- the child is gone

    def _on_end(self, status: int) -> None:
        was_ready, self.is_ready = self.is_ready, False
        running, self.running = list(self.running.values()), {}
        if self._keeper is not None:
            self._keeper.cancel()
        self._judge(running, status)
        if self._is_closing:
            return
        delay = self._delay(was_ready, status)
        if not was_ready:
            self._let_go()
        self._keeper = asyncio.get_running_loop().create_task(self._start(delay))
        self.listener.changed()

    def _judge(self, running: list[Running], status: int) -> None:
        """Who is condemned or asked to stop ends. Of the rest, nobody is to blame for a death that was our doing; one
        that ran alone is."""
        left = [each for each in running if not self._is_over(each)]
        if self._was_killed or self._is_closing:
            for each in left:
                self._put_back(each.task)
        elif left and len(running) == 1:
            self._drop_suspect(left[0].task)
            self.listener.over(left[0].task, Ending.RETRY, _ended_with(status))
        else:
            self.suspects.extend(each.task for each in reversed(left))  # the newest first: a crash mostly comes soon

    def _is_over(self, running: Running) -> bool:
        if running.ending is None and running.verdict is None:
            return False
        self._drop_suspect(running.task)
        if running.ending is not None:
            self.listener.over(running.task, running.ending)
        else:
            self.listener.over(running.task, Ending.RETRY, running.verdict)
        return True

    def _drop_suspect(self, task: Task) -> None:
        if self.suspects and self.suspects[0] is task:
            self.suspects.popleft()

    def _put_back(self, task: Task) -> None:
        if not (self.suspects and self.suspects[0] is task):
            self.again.append(task)

    def _let_go(self) -> None:
        """Nobody here can run them now: they did not happen."""
        for waiting in (self.suspects, self.again):
            while waiting:
                self.listener.over(waiting.popleft(), Ending.RELEASED)

    def _delay(self, was_ready: bool, status: int) -> float:
        if not was_ready:
            self._failed_starts += 1
            delay: float = min(_START_DELAY * 2.0 ** min(self._failed_starts - 1, 10), _LONGEST_START_DELAY)
            reason = self._fault or _ended_with(status)
            _log.error("a process for tasks cannot start", extra={"reason": reason, "next_in_seconds": delay})
            return delay
        lived = time.monotonic() - self._born
        self._deaths = 1 if lived > _LIVED_SECONDS else self._deaths + 1
        delay = min(_DELAY * 2.0 ** min(self._deaths - 1, 10), _LONGEST_DELAY)
        _log.warning("a process for tasks ended", extra={"reason": _ended_with(status), "next_in_seconds": delay})
        return delay


def _ended_with(status: int) -> str:
    if status >= 0:
        return f"the process that ran it exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"the process that ran it was killed by {name}"
