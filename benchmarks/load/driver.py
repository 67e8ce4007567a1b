"""The load process, seen from the benchmark."""

from __future__ import annotations

import subprocess

import msgspec

from benchmarks.closing import Closing
from benchmarks.load.job import Job, Result
from benchmarks.machine import ROOT
from benchmarks.process import Cores, Process


class Load(Closing):
    """`run` a job and wait, or `begin` one and `finish` it later. Raises RuntimeError when the process ends."""

    def __init__(self, cores: Cores, *, pool: int, seed: int = 1) -> None:
        """`pool`: how many different events there are."""
        self._process = Process(
            ["benchmarks.load", str(pool), str(seed)],
            cores.load,
            ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._read()  # that it is ready

    def close(self) -> None:
        self._process.end()

    def run(self, job: Job) -> Result:
        self.begin(job)
        return self.result()

    def begin(self, job: Job) -> None:
        self._write(msgspec.json.encode(job))

    def finish(self) -> Result:
        """Stop the job that runs."""
        self._write(b"")
        return self.result()

    def result(self) -> Result:
        return msgspec.json.decode(self._read(), type=Result)

    def _write(self, line: bytes) -> None:
        assert self._process.popen.stdin is not None
        self._process.popen.stdin.write(line + b"\n")
        self._process.popen.stdin.flush()

    def _read(self) -> bytes:
        assert self._process.popen.stdout is not None
        line = self._process.popen.stdout.readline()
        if not line:
            raise RuntimeError("the load process ended; its error is above")
        return line
