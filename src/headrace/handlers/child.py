"""The program of a child process: `python -P -m headrace.handlers.child FD`. It runs handlers for a crew.

FD is its end of a socket pair. What is said there is in `model/child_message`. It lives as long as the other end does.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, cast

import msgspec

from headrace.errors import Unusable
from headrace.handlers.registry import Registry, load
from headrace.handlers.running import Running
from headrace.kit.frames import Frames, framed
from headrace.model.child_message import PLACES, Begin, End, Hello, Line, Message, News, Orders, Setup
from headrace.model.task import Ending

_FLUSH_BYTES: Final = 4 * 1024 * 1024  # of results in one message
_PR_SET_PDEATHSIG: Final = 1
_encode = msgspec.msgpack.Encoder().encode


class Child(asyncio.Protocol):
    """Begins what it is ordered to; gathers what happens in a turn of the loop into one message."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._frames = Frames()
        self._read_setup = msgspec.msgpack.Decoder(Setup).decode
        self._read_orders = msgspec.msgpack.Decoder(Orders).decode
        self._registry: Registry | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[int, Running] = {}
        self._transport: asyncio.WriteTransport | None = None
        self._lines: list[Line] = []
        self._progress: dict[int, bytes] = {}
        self._ended: list[End] = []
        self._stuck: list[int] = []
        self._bytes = 0
        self._is_waking = False
        self._lock = threading.Lock()
        self.gone = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are no subclasses

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        if not self.gone.done():
            self.gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        for frame in self._frames.feed(data):
            if self._registry is None:
                self._set_up(self._read_setup(frame))
            else:
                self._obey(self._read_orders(frame))

    def _set_up(self, setup: Setup) -> None:
        if os.getppid() != setup.parent:  # it died before we asked to be told
            os._exit(1)
        try:
            self._registry = load(setup.modules, setup.networks)
        except Unusable as exc:
            self._say(Hello({}, exc.detail))
            return
        self._threads = ThreadPoolExecutor(setup.concurrency, "handler")
        gc.freeze()
        self._say(Hello({name: kind.timeout for name, kind in self._registry.kinds().items()}))

    def _obey(self, orders: Orders) -> None:
        for number in orders.stop:
            if number in self._running:
                self._running[number].stop()
        for begin in orders.begin:
            self._begin(begin)
        if self._ended:
            self._flush()

    def _begin(self, begin: Begin) -> None:
        assert self._registry is not None
        assert self._threads is not None
        handler = self._registry.get(begin.type)
        if handler is None:
            self.end(End(begin.number, PLACES[Ending.RETRY], None, f"there is no handler for {begin.type} here"))
            return
        running = self._running[begin.number] = Running(begin, handler, self)
        running.start(self._loop, self._threads)

    # What running tasks say; lines and progress come from any thread.

    def line(self, line: Line) -> None:
        with self._lock:
            self._lines.append(line)
        self._wake_from_anywhere()

    def progress(self, number: int, value: bytes) -> None:
        with self._lock:
            self._progress[number] = value
        self._wake_from_anywhere()

    def end(self, end: End) -> None:
        self._running.pop(end.number, None)
        self._ended.append(end)
        self._bytes += len(end.result or b"")
        if self._bytes > _FLUSH_BYTES:
            self._flush()
        else:
            self._wake()

    def stuck(self, number: int) -> None:
        self._stuck.append(number)
        self._wake()

    def _wake(self) -> None:
        if not self._is_waking:
            self._is_waking = True
            self._loop.call_soon(self._flush)

    def _wake_from_anywhere(self) -> None:
        if not self._is_waking:
            self._is_waking = True
            self._loop.call_soon_threadsafe(self._flush)

    def _flush(self) -> None:
        """Lines and progress are taken after the ends: what a handler said comes before its end, never after."""
        self._is_waking = False
        ended, self._ended = self._ended, []
        stuck, self._stuck = self._stuck, []
        with self._lock:
            lines, self._lines = self._lines, []
            progress, self._progress = self._progress, {}
        self._bytes = 0
        if ended or lines or progress or stuck:
            self._say(News(lines, progress, ended, stuck))

    def _say(self, message: Message) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(framed(_encode(message)))


async def _live(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    child = Child(loop)
    await loop.create_unix_connection(lambda: child, sock=connection)
    await child.gone


def _attach(descriptor: int) -> socket.socket:
    """A process that a handler starts must not hold our line open, nor outlive us unnoticed."""
    os.set_inheritable(descriptor, False)
    with suppress(OSError, AttributeError):  # only Linux has it; elsewhere the end of the socket has to do
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to all of a terminal or a service: our parent says what to do
        signal.signal(number, lambda *_: None)
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(False)
    return connection


def main() -> None:
    import uvloop

    connection = _attach(int(sys.argv[1]))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # both are TextIOWrapper here
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    status = 0
    try:
        loop.run_until_complete(_live(connection))
    except SystemExit as exc:  # an async handler left: it is to blame for this end
        status = exc.code if isinstance(exc.code, int) else 1
    except BaseException:  # noqa: BLE001  # the end of the program
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    os._exit(status)  # threads of handlers that still run would be waited for


if __name__ == "__main__":
    main()
