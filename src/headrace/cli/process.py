"""What every long-running process of ours sets for itself, is told by signals, and does last."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

_SWITCH_SECONDS = 0.0005  # the drain decodes in a thread: at Python's 5 ms the loop would wait as long for its turn
# glibc's malloc.h: an arena for each of 18 threads takes 15 MB of an idle server; and the 19 MiB of a password's hash
# (as every large block) must go back to the system at once, not stay for the next one.
_MALLOPT = {"M_ARENA_MAX": (-8, 1), "M_MMAP_THRESHOLD": (-3, 8 << 20), "M_TRIM_THRESHOLD": (-1, 2 << 20)}
_GC_THRESHOLD = (50_000, 20, 50)  # events are made of objects that hold no cycles


class Signals:
    """SIGTERM asks to stop in good order; SIGINT (somebody waits at a terminal), and every second one, to be quick."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._came, number)

    def _came(self, number: int) -> None:
        if number == signal.SIGINT or self.stop.is_set():
            self.hurry.set()
        self.stop.set()


def frugal() -> None:
    """Settings of the process itself: how threads share the interpreter, and how they share memory."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    with suppress(OSError, AttributeError):  # not every C library has it
        library = ctypes.CDLL(None)
        for parameter, value in _MALLOPT.values():
            library.mallopt(parameter, value)


def settle() -> None:
    """Once all that stays is loaded: the collector need not look at it again."""
    gc.set_threshold(*_GC_THRESHOLD)
    gc.freeze()


def new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def first_of(*events: asyncio.Event, or_end_of: asyncio.Task[None] | None = None) -> None:
    """Until one of the events is set, or the task has ended."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    others = [] if or_end_of is None else [or_end_of]
    try:
        await asyncio.wait([*waiting, *others], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def leave_now() -> NoReturn:
    """Everything is closed. Leaving now spares the reader of the log 70 lines in which DuckDB's bindings report their
    own leaks at the interpreter's end."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
