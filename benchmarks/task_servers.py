"""What runs tasks: Headrace on each profile, Celery with Redis, Procrastinate on the same PostgreSQL.

Each is started for one turn, runs some tasks unmeasured, and is followed until the last result is there.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import psutil

from benchmarks.closing import Closing
from benchmarks.context import BATCH_CONNECTIONS, Bench
from benchmarks.load.job import Job
from benchmarks.postgres import Postgres
from benchmarks.process import Cores, Process, on_core, tree_cpu_seconds
from benchmarks.servers import Headrace, free_port

ADD = '{"type":"add","args":{"a":5,"b":10}}'
EVENTS_A_TASK = 3  # queued, running, succeeded
_STILL_SECONDS = 120.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Turn:
    """What a number of tasks took, from the first one's submission to the last one's result. `cpu_seconds`: of all but
    the client that submits; `client_seconds`: of that one."""

    tasks: int
    seconds: float
    cpu_seconds: float
    client_seconds: float

    @property
    def per_cpu_second(self) -> float:
        return self.tasks / self.cpu_seconds

    @property
    def per_cpu_second_with_client(self) -> float:
        return self.tasks / (self.cpu_seconds + self.client_seconds)


def headrace_turn(bench: Bench, server: Headrace, warm: int, count: int, *others: Callable[[], float]) -> Turn:
    """`others`: CPU-seconds of what works for the server."""
    meters = (server.cpu_seconds, *others)
    _headrace_tasks(bench, server, warm, warm)
    before, began = sum(meter() for meter in meters), time.perf_counter()
    client = _headrace_tasks(bench, server, count, warm + count)
    turn = Turn(count, time.perf_counter() - began, sum(meter() for meter in meters) - before, client)
    _check(server)
    return turn


def _headrace_tasks(bench: Bench, server: Headrace, count: int, total: int) -> float:
    """Until what became of all of them can be queried, as events too. CPU-seconds of the client."""
    job = Job(
        kind="tasks", port=server.port, key=server.key, path="/v1/tasks/batch", body=ADD, events=count,
        connections=min(BATCH_CONNECTIONS, max(1, count // 1_000)),
    )  # fmt: skip
    result = bench.load.run(job)
    if result.accepted != count:
        raise RuntimeError(f"{result.accepted} of {count} tasks were accepted: {result.statuses}")
    with server.client() as client:
        wait_for(total * EVENTS_A_TASK, lambda: int(client.json("/v1/buckets/_tasks")["events"]))
    return result.cpu_seconds


def wait_for(wanted: int, reached: Callable[[], int]) -> None:
    """Raises RuntimeError when nothing moves any more."""
    most, end = -1, time.perf_counter() + _STILL_SECONDS
    while (now := reached()) < wanted:
        if now > most:
            most, end = now, time.perf_counter() + _STILL_SECONDS
        if time.perf_counter() > end:
            raise RuntimeError(f"{now:,} of {wanted:,} are done, and nothing has moved for {_STILL_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)


def _check(server: Headrace) -> None:
    """Raises RuntimeError unless tasks have ended, with their result."""
    with server.client() as client:
        tasks: list[dict[str, Any]] = client.json("/v1/tasks", limit=20, type="add")["tasks"]
        waiting = client.json("/v1/tasks", limit=1, type="add", status="queued")["tasks"]
    if waiting or any(task["status"] != "succeeded" or task["result"] != 15 for task in tasks):
        raise RuntimeError(f"not every task has ended well: {(waiting or tasks)[:1]}")


# --- Celery with Redis -----------------------------------------------------------------------------------------------


def redis_program() -> str | None:
    return which("redis-server")


def lacking(*names: str) -> str:
    """Why a reference that needs these cannot be measured; empty where it can."""
    for name in names:
        if name == "redis-server" and redis_program() is None:
            return "there is no redis-server; on Debian: apt-get install --yes --no-install-recommends redis-server"
        if name != "redis-server" and find_spec(name) is None:
            return f"{name} is not installed; ./dev bench --tasks does that"
    return ""


def reference_versions() -> dict[str, str]:
    names = ("celery", "procrastinate")
    versions = {name: f"(not there: {why})" if (why := lacking(name)) else version(name) for name in names}
    program = redis_program()
    if program is None:
        return {**versions, "redis": f"(not there: {lacking('redis-server')})"}
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return {**versions, "redis": said.partition("v=")[2].split()[0]}


class Redis(Closing):
    """`redis-server` on the load's core, as PostgreSQL is; without snapshots."""

    def __init__(self, cores: Cores, folder: Path, *, safe: bool) -> None:
        """`safe`: every write is in the append-only file, and on the disk, before it is answered."""
        folder.mkdir(parents=True)
        self.port = free_port()
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        options += ["--appendonly", "yes", "--appendfsync", "always"] if safe else ["--appendonly", "no"]
        with on_core(cores.load):
            self._process = psutil.Popen([str(redis_program()), *options], stdout=subprocess.DEVNULL)

    def cpu_seconds(self) -> float:
        return tree_cpu_seconds(self._process)

    def results(self) -> int:
        """How many keys there are: one for each result, and some of Celery's own."""
        import redis

        with redis.Redis(port=self.port, socket_connect_timeout=5) as client:
            return int(client.dbsize())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@contextmanager
def celery(bench: Bench, folder: Path, *, safe: bool) -> Iterator[Callable[[int, int], Turn]]:
    """A function of how many tasks to run before, and how many to measure."""
    with Redis(bench.cores, folder / "redis", safe=safe) as redis, (folder / "celery.log").open("ab") as log:
        env = {"BENCH_URL": f"redis://127.0.0.1:{redis.port}/0"}
        app = "benchmarks.reference.celery_app"
        arguments = ["celery", "-A", app, "worker", "--pool", "prefork", "--concurrency", "2", "--loglevel", "WARNING"]
        worker = Process(arguments, bench.cores.server, folder, env=env, stdout=log, stderr=log)
        try:
            submit = _Submitter(bench, app, folder, env)
            yield _turns(submit, redis.results, lambda: worker.cpu_seconds() + redis.cpu_seconds())
        finally:
            worker.end()


# --- Procrastinate ---------------------------------------------------------------------------------------------------


@contextmanager
def procrastinate(bench: Bench, postgres: Postgres, folder: Path) -> Iterator[Callable[[int, int], Turn]]:
    """A function of how many tasks to run before, and how many to measure."""
    folder.mkdir(parents=True)
    url = postgres.create_database()
    env, app = {"BENCH_URL": url}, "benchmarks.reference.procrastinate_run"
    submit = _Submitter(bench, app, folder, env)
    submit("schema")
    with (folder / "procrastinate.log").open("ab") as log:
        worker = Process([app, "work"], bench.cores.server, folder, env=env, stdout=log, stderr=log)
        try:
            yield _turns(
                submit, lambda: _succeeded(postgres, url), lambda: worker.cpu_seconds() + postgres.cpu_seconds()
            )
        finally:
            worker.end()
    postgres.drop_database(url)


def _succeeded(postgres: Postgres, url: str) -> int:
    [(count,)] = postgres.sql(url, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")
    return int(count)


# --- both ------------------------------------------------------------------------------------------------------------


class _Submitter:
    """The client of a reference: a process of its own on the load's core, which says what CPU time submitting took."""

    def __init__(self, bench: Bench, module: str, folder: Path, env: dict[str, str]) -> None:
        self._bench = bench
        self._module = module
        self._folder = folder
        self._env = env

    def __call__(self, *arguments: str) -> float:
        process = Process(
            [self._module, *arguments], self._bench.cores.load, self._folder, env=self._env, stdout=subprocess.PIPE
        )
        said, _ = process.popen.communicate()
        if process.popen.returncode:
            raise RuntimeError(f"{self._module} {' '.join(arguments)} ended with {process.popen.returncode}")
        return float(said or 0)


def _turns(
    submit: _Submitter, done: Callable[[], int], cpu_seconds: Callable[[], float]
) -> Callable[[int, int], Turn]:
    def turn(warm: int, count: int) -> Turn:
        submit("submit", str(warm))
        wait_for(warm, done)
        before, first, began = cpu_seconds(), done(), time.perf_counter()
        client = submit("submit", str(count))
        wait_for(first + count, done)
        return Turn(count, time.perf_counter() - began, cpu_seconds() - before, client)

    return turn
