"""The PostgreSQL that the benchmark starts for itself, and Headrace on it.

The server flushes each commit. It shares the load's core: what the core of the API processes does is theirs alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.closing import Closing
from benchmarks.process import Cores, Process, on_core, tree_cpu_seconds
from benchmarks.servers import Headrace
from tests.support.postgres import Cluster, programs

_QUIET = 0.1  # of a core; an idle process takes 0.02
_QUIET_SECONDS = 60.0

SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "maintenance_work_mem": "256MB",
    "effective_cache_size": "8GB",
    "random_page_cost": "1.1",  # of a disk without moving parts
    "autovacuum_naptime": "60s",  # the default; the tests' own server looks more often
}


class Postgres(Closing):
    def __init__(self, cores: Cores) -> None:
        self.core = cores.load
        self._cluster = Cluster(safe=True, settings=SETTINGS).create()
        try:
            with on_core(self.core):
                self._cluster.start()
        except BaseException:
            self._cluster.close()
            raise
        assert self._cluster.process is not None
        self._seen = psutil.Process(self._cluster.process.pid)

    def close(self) -> None:
        self._cluster.close()

    def cpu_seconds(self) -> float:
        """Of every process of the server."""
        return tree_cpu_seconds(self._seen)

    @property
    def url(self) -> str:
        """Of the database that nothing is measured in."""
        return self._cluster.url()

    def create_database(self) -> str:
        """The URL of a new one."""
        return self._cluster.create_database()

    def drop_database(self, url: str) -> None:
        """So that nobody pays for what it left to be vacuumed."""
        self._cluster.drop_database(url)

    def sql(self, url: str, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """On a connection of its own."""
        return self._cluster.sql(statement, params, database=url.rsplit("/", 1)[1])

    def checkpoint(self) -> None:
        """So that nobody pays for what was written before."""
        self._cluster.sql("CHECKPOINT")

    def begin(self, program: str, *arguments: str, stdin: int = -3) -> psutil.Popen:
        """`psql` or `pgbench`, on the server's core; its output is for the caller to read."""
        command = [str(programs() / program), *arguments]
        with on_core(self.core):
            return psutil.Popen(command, stdin=stdin, stdout=-1, stderr=-2, text=True)


def wait_quiet(cpu_seconds: Callable[[], float]) -> None:
    """Until processes have started wholly, as their CPU-seconds tell: of several, one is ready before the others.

    Raises RuntimeError when that takes too long.
    """
    end = time.perf_counter() + _QUIET_SECONDS
    while time.perf_counter() < end:
        cpu, began = cpu_seconds(), time.perf_counter()
        time.sleep(1)
        if cpu_seconds() - cpu < _QUIET * (time.perf_counter() - began):
            return
    raise RuntimeError(f"the processes are not quiet after {_QUIET_SECONDS:g} s")


class OnPostgres(Headrace):
    """`headrace serve` with its defaults and a database of its own."""

    def __init__(
        self,
        postgres: Postgres,
        directory: Path,
        cores: Cores,
        *,
        drain: bool = True,
        processes: int = 1,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._postgres = postgres
        self.url = postgres.create_database()
        own = {"HEADRACE_DATABASE_URL": self.url, "HEADRACE_PROCESSES": str(processes)}
        super().__init__(directory, cores, drain=drain, env={**own, **(env or {})})

    def disk_bytes(self) -> int:
        """What the database takes, and the data directory."""
        [(size,)] = self._postgres.sql(self.url, "SELECT pg_database_size(current_database())")
        return int(size) + super().disk_bytes()


class Worker(Closing):
    """`headrace work` on a server's database."""

    def __init__(self, server: OnPostgres, cores: Cores, *, env: Mapping[str, str] | None = None) -> None:
        env = {"HEADRACE_DATABASE_URL": server.url, **(env or {})}
        self._log = server.directory.with_suffix(".work.log").open("ab")
        arguments = ["headrace", "work", "--data-dir", str(server.directory), "--health-port", "0"]
        self._process = Process(
            arguments, cores.server, server.directory.parent, env=env, stdout=self._log, stderr=self._log
        )

    def cpu_seconds(self) -> float:
        return self._process.cpu_seconds()

    def close(self) -> None:
        self._process.end()
        self._log.close()
