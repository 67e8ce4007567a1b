"""A real PgBouncer in transaction mode on a free port, in front of a test's PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.postgres import Cluster, server_folder, server_user
from tests.support.server import free_port

_PROGRAM = "/usr/sbin/pgbouncer"
_START_SECONDS = 30
_CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server} user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 500
server_login_retry = 1
logfile = {folder}/log
pidfile = {folder}/pid
"""


class PgBouncer:
    """In front of `cluster`, for every database of it. `size`: connections to the server, for each database."""

    def __init__(self, cluster: Cluster, *, size: int = 2) -> None:
        self.folder = server_folder("pgbouncer")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._cluster = cluster
        self._size = size

    def start(self) -> PgBouncer:
        """It takes connections when this returns. Without the program: a skip on a laptop, a failure in CI."""
        program = _program()
        configuration = self.folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(server=self._cluster.port, port=self.port, size=self._size, folder=self.folder)
        )
        self.process = subprocess.Popen(
            [program, str(configuration)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **_as_user(),
        )  # fmt: skip
        self._wait_ready()
        return self

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """Through the pooler, by the name of a database or the URL of one."""
        return self._cluster.url(database.rsplit("/", 1)[-1], port=self.port)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                ended = self.process is None or self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log = self.folder / "log"
                    said = log.read_text(errors="replace") if log.exists() else "nothing was logged"
                    raise RuntimeError(f"PgBouncer did not come up:\n{said[-3000:]}") from None
                time.sleep(0.05)
            else:
                return


def _program() -> str:
    found = _PROGRAM if Path(_PROGRAM).exists() else shutil.which("pgbouncer")
    if found is not None:
        return found
    missing = "there is no PgBouncer here; on Debian: apt-get install --yes --no-install-recommends pgbouncer"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def _as_user() -> dict[str, Any]:
    user = server_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()} if user else {}
