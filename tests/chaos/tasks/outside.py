"""The world outside, in which tasks have their effects: a file that is fsynced at each line, and a fence for each task.

It does what the documentation asks of whoever must not be written to by two: it takes note of the highest lease that a
task came with, and refuses what comes with a lower one. One JSON object a line, in the order in which things happened:
    {"task": "…", "lease": 7, "attempt": 1, "run": "…", "what": "begin", "at": 12.3, "pid": 42}
`what` is begin, step or end; with `refused` it did not happen. `run` names one call of a handler, `at` is monotonic.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

VARIABLE = "CHAOS_OUTSIDE"
"""Of the environment: the folder in which the world outside lies."""


class Effect(msgspec.Struct, frozen=True):
    task: str
    lease: int
    attempt: int
    run: str
    what: str
    at: float
    pid: int
    refused: bool = False


class Refused(Exception):
    """Another lease has been here."""


class Outside:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = os.open(folder / "effects.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def run(self, task: str, lease: int, attempt: int) -> Run:
        """One call of a handler. Raises Refused."""
        run = Run(self, task, lease, attempt)
        run.write("begin")
        return run

    def append(self, effect: Effect) -> None:
        os.write(self._file, json.dumps(msgspec.to_builtins(effect), separators=(",", ":")).encode() + b"\n")
        os.fdatasync(self._file)

    @contextmanager
    def fence(self, task: str, lease: int) -> Iterator[bool]:
        """Whether this lease may write to the task; nobody else does meanwhile."""
        file = os.open(self._folder / f"fence-{task}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            seen = int(os.pread(file, 32, 0) or 0)
            if lease > seen:
                os.pwrite(file, b"%020d" % lease, 0)
            yield lease >= seen
        finally:
            os.close(file)


class Run:
    def __init__(self, outside: Outside, task: str, lease: int, attempt: int) -> None:
        self._outside = outside
        self._of = (task, lease, attempt)
        self.name = uuid.uuid4().hex

    def write(self, what: str) -> None:
        """Durable when it returns. Raises Refused."""
        task, lease, attempt = self._of
        with self._outside.fence(task, lease) as taken:
            self._outside.append(
                Effect(task, lease, attempt, self.name, what, time.monotonic(), os.getpid(), refused=not taken)
            )
        if not taken:
            raise Refused(f"a higher lease than {lease} has been here")


def read_effects(folder: Path) -> list[Effect]:
    """In the order in which they happened."""
    file = folder / "effects.jsonl"
    decode = msgspec.json.Decoder(Effect).decode
    return [decode(line) for line in file.read_bytes().splitlines()] if file.exists() else []
