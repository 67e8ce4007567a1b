"""The connections that only read, each used by one thread at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from headrace.adapters.sqlite._task_file import open_to_read
from headrace.errors import Unavailable

_P = ParamSpec("_P")
_T = TypeVar("_T")

_READERS = 2
_PATIENCE = 10.0  # seconds for a connection: the other reads take as long at most, or the file is opened anew


class Readers:
    """`pause` takes the connections away while the writer opens the file anew, `resume` brings them back."""

    def __init__(self, path: Path, vfs: str | None = None) -> None:
        self._path = path
        self._vfs = vfs
        self._free: SimpleQueue[apsw.Connection | None] = SimpleQueue()
        self._all: list[apsw.Connection] = []
        self._closed = False
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="task-reader")

    async def run(
        self, read: Callable[Concatenate[apsw.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """What `read` finds, in one snapshot. Raises Unavailable."""
        if self._closed:
            raise Unavailable("the task table is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: self._run(read, *args, **kwargs))

    def resume(self) -> None:
        """Open them. Raises apsw.Error."""
        for _ in range(_READERS):
            self._all.append(open_to_read(self._path, self._vfs))
        for reader in self._all:
            self._free.put(reader)

    def pause(self) -> None:
        """Close them, what they do is interrupted; whoever asks meanwhile waits."""
        for reader in self._all:
            reader.interrupt()
        for _ in range(len(self._all)):
            self._free.get()
        for reader in self._all:
            with suppress(apsw.Error):
                reader.close(True)
        self._all.clear()

    def close(self) -> None:
        self._closed = True
        self.pause()
        for _ in range(_READERS):
            self._free.put(None)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _run(self, read: Callable[Concatenate[apsw.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            reader = self._free.get(timeout=_PATIENCE)
        except Empty:
            raise Unavailable("the task table cannot be read now") from None
        if reader is None:
            self._free.put(None)
            raise Unavailable("the task table is closed")
        try:
            reader.execute("BEGIN")
            try:
                return read(reader, *args, **kwargs)
            finally:
                reader.execute("ROLLBACK")
        except apsw.Error as exc:
            raise Unavailable(f"the task table cannot be read: {exc}") from exc
        finally:
            self._free.put(reader)
