"""Servers that the benchmark starts: Headrace itself and what it is compared with."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.closing import Closing
from benchmarks.http import Client
from benchmarks.machine import ROOT
from benchmarks.process import Cores, Process

_START_SECONDS = 60.0
_DRAIN_SECONDS = 180.0
_POLL_SECONDS = 0.002  # while it starts: the start is one of the figures
_DEPTH_SECONDS = 0.05


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(Closing):
    """Anything that listens on a port, pinned to the server's core."""

    key = "hr_bench_none"

    def __init__(self) -> None:
        self.port = free_port()
        self.process: Process | None = None

    def close(self) -> None:
        self.stop()

    @property
    def running(self) -> Process:
        assert self.process is not None
        return self.process

    def cpu_seconds(self) -> float:
        return self.running.cpu_seconds()

    def settle(self) -> None:
        """Wait until nothing is left to be done."""

    def stop(self) -> None:
        if self.process is not None:
            self.process.end()

    def _wait_ready(self) -> None:
        """Raises RuntimeError, with the process ended."""
        try:
            self._poll()
        except BaseException:
            self.stop()
            raise

    def _poll(self) -> None:
        end = time.perf_counter() + _START_SECONDS
        while time.perf_counter() < end:
            if self.running.popen.poll() is not None:
                raise RuntimeError(f"the server ended at once{self._last_words()}")
            try:
                if self._is_ready():
                    return
            except OSError:
                pass
            time.sleep(_POLL_SECONDS)
        raise RuntimeError(f"not ready after {_START_SECONDS:g} s{self._last_words()}")

    def _is_ready(self) -> bool:
        """Raises OSError while nothing listens."""
        Client(self.port).close()
        return True

    def _last_words(self) -> str:
        return ""


class Reference(Server):
    """One of `benchmarks.reference`."""

    def __init__(self, name: str, cores: Cores) -> None:
        super().__init__()
        arguments = ["benchmarks.reference", name, str(self.port)]
        self.process = Process(arguments, cores.server, ROOT)
        self._wait_ready()


class Headrace(Server):
    """`headrace serve` with its defaults on a directory of its own."""

    def __init__(
        self, directory: Path, cores: Cores, *, drain: bool = True, env: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self.directory = directory
        self._cores = cores
        self._env = {"HEADRACE_DRAIN": "on" if drain else "off", **(env or {})}
        self._log = directory.with_suffix(".log")
        self.ready_after = self.start()

    def start(self) -> float:
        """Seconds from exec to ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        arguments = ["headrace", "serve", "--port", str(self.port), "--data-dir", str(self.directory)]
        began = time.perf_counter()
        with self._log.open("ab") as log:
            self.process = Process(
                arguments,
                self._cores.server,
                self.directory.parent,
                env=self._env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait_ready()
        return time.perf_counter() - began

    def _is_ready(self) -> bool:
        with Client(self.port) as client:
            return client.get("/health/ready").status == 200

    @property
    def key(self) -> str:  # type: ignore[override]  # made at the first start
        return (self.directory / "admin.key").read_text().strip()

    def client(self) -> Client:
        return Client(self.port, self.key)

    def depth(self) -> int:
        """Acknowledged events that cannot be queried yet."""
        with self.client() as client:
            return int(client.json("/v1/status")["queue"]["depth"])

    def settle(self) -> None:
        """Wait until every acknowledged event can be queried. Raises RuntimeError when nothing moves any more."""
        if self._env["HEADRACE_DRAIN"] == "off":
            return
        least, end = self.depth(), time.perf_counter() + _DRAIN_SECONDS
        while depth := self.depth():
            if depth < least:
                least, end = depth, time.perf_counter() + _DRAIN_SECONDS
            if time.perf_counter() > end:
                raise RuntimeError(f"{depth:,} events wait, for {_DRAIN_SECONDS:g} s now{self._last_words()}")
            time.sleep(_DEPTH_SECONDS)

    def disk_bytes(self) -> int:
        """What the data directory takes, as the file system counts it."""
        return sum(path.stat().st_blocks * 512 for path in self.directory.rglob("*") if path.is_file())

    def _last_words(self) -> str:
        return f":\n{self._log.read_text()[-3_000:]}"
