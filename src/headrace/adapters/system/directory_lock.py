"""One server to a data directory: a lock that the kernel gives back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.errors import DirectoryLocked, Unusable

_WAIT_SECONDS = 5.0  # a server that is being replaced needs a moment to end
_POLL_SECONDS = 0.05


class DirectoryLock:
    """`with DirectoryLock(data):` makes the directory if it is not there, and holds flock(2) on its file `lock`.

    Waits up to `wait` seconds (blocking), then raises DirectoryLocked, which names the holder's process id. Raises
    Unusable when the directory cannot be made or written.
    """

    def __init__(self, directory: Path, *, wait: float = _WAIT_SECONDS) -> None:
        self._directory = directory
        self._wait = wait
        self._handle: int | None = None

    def __enter__(self) -> Self:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise Unusable(f"the data directory {self._directory} cannot be used: {exc.strerror}") from exc
        try:
            self._acquire(handle)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        with suppress(OSError):  # a full disk must not keep the server from starting: only the number is missing then
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The file stays: to remove it would let two servers lock two different files of that name.
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _acquire(self, handle: int) -> None:
        deadline = time.monotonic() + self._wait
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise DirectoryLocked(self._told(handle)) from None
                time.sleep(_POLL_SECONDS)
            else:
                return

    def _told(self, handle: int) -> str:
        holder = os.pread(handle, 32, 0).decode(errors="replace").strip()
        who = f"process {holder}" if holder.isdigit() else "another process"
        return f"{self._directory} is served by {who}: stop that one, or choose another directory with --data-dir"
