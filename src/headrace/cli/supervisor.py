"""`--processes N`: a parent that holds the socket, and N children of the very same command that serve on it.

The children share one socket rather than one each (SO_REUSEPORT): what has connected to a child that dies is then taken
by another, and nothing waits for its successor. The parent serves nothing, so that nothing can bring it down.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from headrace.cli.greeting import announced, greet
from headrace.cli.listening import ARRIVING_SECONDS, let_nobody_in
from headrace.cli.process import first_of
from headrace.config import Settings
from headrace.wiring.identity import local_url
from headrace.wiring.roles import Place

_log = structlog.get_logger("headrace.cli.supervisor")

_READY_SECONDS = 60.0  # migrations may come first
_STOP_SECONDS = 10.0  # what a child promises
_LOOK_SECONDS = 0.05
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0  # before a child that died is replaced, doubling
_DOUBLINGS = 6  # lead to the longest; after a thousand a float cannot hold it
_LIVED_SECONDS = 10.0  # after so long the next death counts as the first


@dataclass(frozen=True, slots=True)
class Child:
    """What a child gets from its parent: in the hidden option `--child`, as SOCKET:LIFELINE:NUMBER:FOLDER."""

    listening: int
    """File descriptor of the socket."""
    lifeline: int
    """File descriptor of a pipe that ends with the parent."""
    place: Place

    @classmethod
    def parse(cls, text: str) -> Child:
        listening, lifeline, number, folder = text.split(":", 3)
        return cls(int(listening), int(lifeline), Place(Path(folder), int(number)))

    def __str__(self) -> str:
        return f"{self.listening}:{self.lifeline}:{self.place.number}:{self.place.folder}"

    def socket(self) -> socket.socket:
        return socket.socket(fileno=self.listening)

    def say_ready(self) -> None:
        self._ready.write_text(str(os.getpid()))

    def is_ready(self, pid: int) -> bool:
        return self._ready.exists() and self._ready.read_text() == str(pid)

    @property
    def _ready(self) -> Path:
        return self.place.folder / f"ready-{self.place.number}"


@dataclass(slots=True, eq=False)
class _Running:
    child: Child
    process: Process
    since: float
    is_leaving: bool = False
    watch: asyncio.Task[None] | None = field(default=None, repr=False)


class Supervisor:
    """Keeps `count` children of `command` running until it is told to stop."""

    def __init__(self, command: Sequence[str], count: int, listening: socket.socket, folder: Path) -> None:
        self._command = command
        self._count = count
        self._listening = listening
        self._folder = folder
        self._running: list[_Running] = []
        self._numbers: set[int] = set()  # of these, and of those that are just being started
        self._deaths = 0
        self._stop, self._roll = asyncio.Event(), asyncio.Event()
        self._how: signal.Signals | None = None
        self._lifeline, self._held = os.pipe()

    @property
    def is_told(self) -> bool:
        """Whether SIGTERM or SIGINT came."""
        return self._how is not None

    async def start(self) -> bool:
        """The first one alone (it may migrate), then the rest. False when one ends before it serves: it said why."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._roll.set)
        if not await self._is_ready(await self._spawn()):
            return False
        rest = [await self._spawn() for _ in range(self._count - 1)]
        return all(await asyncio.gather(*map(self._is_ready, rest)))

    async def keep(self) -> None:
        """Until SIGTERM or SIGINT. SIGHUP replaces the children one after the other."""
        while not self._stop.is_set():
            await first_of(self._stop, self._roll)
            if self._roll.is_set():
                self._roll.clear()
                rolling = asyncio.create_task(self._replace_all())
                await first_of(self._stop, or_end_of=rolling)
                rolling.cancel()

    async def end(self) -> None:
        """Nobody new comes in, the children finish. What does not end in time is killed."""
        self._stop.set()
        let_nobody_in(self._listening)
        await asyncio.sleep(ARRIVING_SECONDS)
        self._listening.close()
        await asyncio.gather(*(self._end(running, self._how or signal.SIGTERM) for running in list(self._running)))

    def _on_stop(self, number: signal.Signals) -> None:
        if self._stop.is_set():  # they are stopping: let them hurry
            for running in self._running:
                _signal(running.process, signal.SIGINT)
        self._how = number
        self._stop.set()

    async def _spawn(self) -> _Running:
        """Raises OSError when the system starts no process now."""
        number = min(set(range(len(self._numbers) + 1)) - self._numbers)
        child = Child(self._listening.fileno(), self._lifeline, Place(self._folder, number))
        self._numbers.add(number)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, "--child", str(child),
                stdin=asyncio.subprocess.DEVNULL, pass_fds=(child.listening, child.lifeline),
            )  # fmt: skip
        except BaseException:
            self._numbers.discard(number)
            raise
        running = _Running(child, process, asyncio.get_running_loop().time())
        self._running.append(running)
        running.watch = asyncio.create_task(self._watch(running))
        return running

    async def _watch(self, running: _Running) -> None:
        """See it end, and replace it if nobody wanted that."""
        status = await running.process.wait()
        self._running.remove(running)
        self._numbers.discard(running.child.place.number)
        if running.is_leaving or self._stop.is_set():
            return
        lived = asyncio.get_running_loop().time() - running.since
        self._deaths = 1 if lived > _LIVED_SECONDS else self._deaths + 1
        _log.error("a server process ended", pid=running.process.pid, status=status, next_in_seconds=self._delay)
        await self._fill()

    async def _fill(self) -> None:
        """After a pause, as many as there are to be: those that replace each other are one more for a while."""
        await _until(self._stop, self._delay)
        while not self._stop.is_set() and len(self._numbers) < self._count:
            try:
                await self._spawn()
            except OSError as exc:  # no memory, no process id: it will not stay like that
                self._deaths += 1
                _log.error("no server process can be started", reason=str(exc), next_in_seconds=self._delay)
                await _until(self._stop, self._delay)

    @property
    def _delay(self) -> float:
        doublings = min(max(self._deaths - 1, 0), _DOUBLINGS)
        return min(_FIRST_DELAY * float(1 << doublings), _LONGEST_DELAY)

    async def _is_ready(self, running: _Running) -> bool:
        """Once it serves; False when it ends first, or takes too long, or we are to stop."""
        until = asyncio.get_running_loop().time() + _READY_SECONDS
        while running in self._running and not self._stop.is_set() and asyncio.get_running_loop().time() < until:
            if running.child.is_ready(running.process.pid):
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def _replace_all(self) -> None:
        """One after the other, and those that died meanwhile."""
        _log.info("replacing the server processes, one after the other")
        try:
            if await self._replace_each():
                _log.info("replaced the server processes")
        except OSError as exc:
            _log.error("no new process can be started; the old ones go on", reason=str(exc))
        await self._fill()

    async def _replace_each(self) -> bool:
        """The next one serves before the old one goes. False at the first that does not come up."""
        for old in list(self._running):
            if old not in self._running:  # it died, and has been replaced
                continue
            new = await self._spawn()
            if not await self._is_ready(new):
                _log.error("the new process does not serve; the old ones go on", pid=new.process.pid)
                await self._end(new, signal.SIGTERM)
                return False
            await self._end(old, signal.SIGTERM)
        return True

    async def _end(self, running: _Running, how: signal.Signals) -> None:
        running.is_leaving = True
        _signal(running.process, how)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await running.process.wait()
        except TimeoutError:
            _log.error("a server process did not stop in time and is killed", pid=running.process.pid)
            _signal(running.process, signal.SIGKILL)
            await running.process.wait()


def _signal(process: Process, how: signal.Signals) -> None:
    if process.returncode is None:
        process.send_signal(how)


async def _until(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass


def supervise(settings: Settings, listening: socket.socket) -> int:
    """Serve with several processes until SIGTERM or SIGINT; the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="headrace-"))
    try:
        return asyncio.run(_supervise(settings, listening, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _supervise(settings: Settings, listening: socket.socket, folder: Path) -> int:
    command = [sys.executable, *sys.orig_argv[1:]]
    supervisor = Supervisor(command, settings.processes, listening, folder)
    url = local_url(settings.host, settings.port)
    with ExitStack() as stack:
        started = await supervisor.start()
        if started:
            stack.enter_context(announced(settings.data_dir, url))
            greet(url, settings.data_dir / "admin.key")
            await supervisor.keep()
        _log.info("stopping", reason="signal" if supervisor.is_told else "a process did not start")
        await supervisor.end()
    return 0 if supervisor.is_told else 1
