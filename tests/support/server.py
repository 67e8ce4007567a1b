"""A real Headrace in a process of its own, on a free port and a directory of its own."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import httpx2
import psutil

from tests.support import profile

_START_SECONDS = 90
_STOP_SECONDS = 30
_TLS = ssl.create_default_context()
"""For all clients: each would read this machine's certificates anew, 27 ms, and no server here speaks TLS."""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`start`, `stop` (SIGTERM) and `kill` (SIGKILL) as often as you like: the address and the data stay."""

    def __init__(
        self,
        data_dir: Path,
        *,
        env: Mapping[str, str] | None = None,
        module: str = "headrace",
        role: str = "serve",
        arguments: Sequence[str] = (),
    ) -> None:
        """`module` is run with `-m`: the program, or a test's own entry with something planted in it. `role`: `serve`,
        or `work`, whose port answers about its health alone."""
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self._env = {**profile.environment(data_dir), **(env or {})}
        self._module = module
        self._role = role
        self._arguments = arguments

    def start(self, *, env: Mapping[str, str] | None = None, wait: bool = True) -> Server:
        """Start it and wait until it is ready. Raises RuntimeError, with its log, when it ends instead."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        command = [
            sys.executable,
            "-m",
            self._module,
            self._role,
            "--port" if self._role == "serve" else "--health-port",
            str(self.port),
            "--data-dir",
            str(self.data_dir),
            *self._arguments,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**inherited, **self._env, **(env or {})}, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise RuntimeError(f"the server ended:\n{self.log.read_text()[-4000:]}")
            if self._is_ready():
                return
            time.sleep(0.02)
        raise RuntimeError(f"not ready after {_START_SECONDS} s:\n{self.log.read_text()[-4000:]}")

    def _is_ready(self) -> bool:
        asked = HTTPConnection("127.0.0.1", self.port, timeout=2)  # not httpx2: a TLS context for each try takes 30 ms
        try:
            asked.request("GET", "/health/ready")
            return asked.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            asked.close()

    def stop(self) -> int:
        """SIGTERM; the exit status. Raises subprocess.TimeoutExpired when it does not end in time."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """SIGKILL, as a machine that lost its power would end it (but for the page cache)."""
        return self._end(signal.SIGKILL)

    def family(self) -> list[psutil.Process]:
        """It and the processes that it has started."""
        assert self.process is not None
        try:
            itself = psutil.Process(self.process.pid)
            return [itself, *itself.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill_family(self) -> None:
        """SIGKILL of it and all that it has started, at once."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        assert self.process is not None
        self.process.wait(_STOP_SECONDS)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        profile.forget(self.data_dir)

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def database_url(self) -> str:
        """Empty where the data is in files."""
        return self._env.get("HEADRACE_DATABASE_URL", "")

    @property
    def key(self) -> str:
        return (self.data_dir / "admin.key").read_text().strip()

    def client(self, *, key: str | None = None, timeout: float = 30) -> httpx2.Client:
        """A client with the administrator's key (or `key`; "" for none)."""
        credential = self.key if key is None else key
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=timeout, verify=_TLS)
