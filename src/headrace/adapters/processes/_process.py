"""One child process: started, spoken to, and seen to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

import msgspec

from headrace.kit.frames import Frames, framed
from headrace.model.child_message import Message, Orders, Setup

_COMMAND: Final = (sys.executable, "-P", "-m", "headrace.handlers.child")  # -P: the current directory comes last of all
_STDERR: Final = 2  # what a handler prints goes to the server's own, and never into what the server prints
_LAST_WORDS_SECONDS: Final = 1.0  # a process forked by a handler may hold the line open after the child's death
_encode = msgspec.msgpack.Encoder().encode


class ChildProcess(asyncio.Protocol):
    """`on_message` hears what it says, `on_end` of its exit status once everything it said was heard."""

    def __init__(self, on_message: Callable[[Message], None], on_end: Callable[[int], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._frames = Frames()
        self._read: Callable[[bytes], Message] = msgspec.msgpack.Decoder(Message).decode
        self._transport: asyncio.Transport | None = None
        self._process: Process | None = None
        self._handle: int | None = None
        self._silent = asyncio.Event()
        self._watch: asyncio.Task[None] | None = None

    async def start(self, modules: tuple[str, ...], concurrency: int, networks: tuple[str, ...]) -> None:
        """Raises OSError when the system has no process or no memory for it."""
        ours, theirs = socket.socketpair()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND, str(theirs.fileno()), pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL, stdout=_STDERR,
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._handle = _handle_of(self._process.pid)
        loop = asyncio.get_running_loop()
        self._watch = loop.create_task(self._see_it_end(self._process))
        await loop.create_unix_connection(lambda: self, sock=ours)
        self._say(Setup(os.getpid(), modules, concurrency, networks))

    def order(self, orders: Orders) -> None:
        self._say(orders)

    def pause(self, is_paused: bool) -> None:
        """Whether it has to wait with what it says."""
        if self._transport is not None and not self._transport.is_closing():
            if is_paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def kill(self) -> None:
        """Not by `Process.kill`: asyncio's looks whether the process has ended, takes its status away by that, and
        then reports 255 to whoever waits for it."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            if self._handle is None:
                os.kill(self._process.pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def leave(self, seconds: float) -> None:
        """Close the line, which ends it; kill it when it does not end in time."""
        if self._transport is not None:
            self._transport.close()
        if self._process is None:
            return
        try:
            async with asyncio.timeout(seconds):
                await self._process.wait()
        except TimeoutError:
            self.kill()
        if self._watch is not None:
            await self._watch

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        self._silent.set()
        self.kill()  # without its line nothing reaches it

    def data_received(self, data: bytes) -> None:
        try:
            for frame in self._frames.feed(data):
                self._on_message(self._read(frame))
        except (msgspec.MsgspecError, ValueError):  # a handler wrote into our line
            self.kill()

    def _say(self, message: Setup | Orders) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(framed(_encode(message)))

    async def _see_it_end(self, process: Process) -> None:
        status = await process.wait()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self.pause(False)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._silent.wait()
        if self._transport is not None:
            self._transport.close()
        self._on_end(status)


def _handle_of(pid: int) -> int | None:
    """It means this process even when the number has gone to another one. Linux has it, and not in every sandbox."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None
