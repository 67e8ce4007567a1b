"""The real nginx with the files of deploy/nginx/: only ports and paths are put in their place."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.support.server import free_port

DEPLOY = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
_PROGRAM = "/usr/sbin/nginx"
_START_SECONDS = 15
_MAIN = """
daemon off;
worker_processes {workers};
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {file};
}}
"""


def program() -> str:
    """Without one: a skip on a laptop, a failure in CI."""
    if Path(_PROGRAM).exists():
        return _PROGRAM
    missing = "there is no nginx here; on Debian: apt-get install --yes --no-install-recommends nginx-light"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


class Nginx:
    """`with Nginx("headrace.conf", {8000: a.port, 8001: b.port}) as nginx:` listens on `nginx.port`."""

    def __init__(self, file: str, ports: Mapping[int, int], *, workers: int = 1) -> None:
        """`ports`: those of the servers in the file, and those that they have here."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-nginx-"))
        self._file, self._ports, self._workers = file, ports, workers
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._write()
        command = [program(), "-e", str(self._folder / "start.log"), "-c", str(self._folder / "nginx.conf")]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"nginx did not start:\n{self.log()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        return "".join(path.read_text()[-4_000:] for path in sorted(self._folder.glob("*.log")))

    def _write(self) -> None:
        user = "user root;" if os.geteuid() == 0 else ""  # the folder is ours alone
        (self._folder / "nginx.conf").write_text(
            _MAIN.format(folder=self._folder, file=self._file, workers=self._workers, user=user)
        )
        shutil.copytree(DEPLOY / "headrace", self._folder / "headrace")
        text = (DEPLOY / self._file).read_text().replace("listen 80;", f"listen 127.0.0.1:{self.port};")
        found = re.findall(r"server 127\.0\.0\.1:(\d+)", text)
        assert {int(port) for port in found} == set(self._ports), f"{self._file} has servers on {found}"
        text = re.sub(r"(server 127\.0\.0\.1:)(\d+)", lambda match: f"{match[1]}{self._ports[int(match[2])]}", text)
        (self._folder / self._file).write_text(text)

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True
