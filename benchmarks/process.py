"""Processes on a core of their own, and what they cost: CPU time and memory from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from benchmarks.machine import ROOT

_STOP_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Cores:
    """Servers on one core, load on another (the same one where there is only one)."""

    server: int
    load: int

    @classmethod
    def pick(cls) -> Cores:
        """The first and the last core that we may use: the least likely to share a cache or a hyperthread."""
        allowed = sorted(os.sched_getaffinity(0))
        return cls(server=allowed[0], load=allowed[-1])


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started inside inherits the core from its first instruction on."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree_cpu_seconds(root: psutil.Process) -> float:
    """User and system time of a process and all below it, those that ended included."""
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it ended just now: its parent has its time
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


class Process:
    """A Python module in a process of its own, pinned to a core."""

    def __init__(
        self,
        arguments: Sequence[str],
        core: int,
        directory: Path,
        *,
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] | None = None,
    ) -> None:
        """`arguments` follow `python -m`; `directory` is where it runs, so that no `.env` of ours is read."""
        command = [sys.executable, "-m", *arguments]
        with on_core(core):
            self.popen = subprocess.Popen(
                command, cwd=directory, env=_environment(env or {}), stdin=stdin, stdout=stdout, stderr=stderr
            )
        self._seen = psutil.Process(self.popen.pid)

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children, those that ended included."""
        return tree_cpu_seconds(self._seen)

    def resident_bytes(self) -> int:
        tree = (self._seen, *self._seen.children(recursive=True))
        return sum(int(process.memory_info().rss) for process in tree)

    def peak_bytes(self) -> int:
        """The most that the process itself ever had resident."""
        for line in Path(f"/proc/{self.popen.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def end(self) -> None:
        """SIGTERM, then SIGKILL to what does not go. Does nothing when it has ended."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            if pipe is not None:
                pipe.close()


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours without HEADRACE_*, since the figures are those of the defaults."""
    inherited = dict(os.environ)  # noqa: TID251 - handed on to children, not read
    kept = {name: value for name, value in inherited.items() if not name.startswith("HEADRACE_")}
    return {**kept, "PYTHONPATH": str(ROOT), **extra}
