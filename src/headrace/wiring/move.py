"""Both sides of `headrace copy`: the files of a data directory, and the databases of the URLs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from headrace.adapters.duckdb.database import DuckDBOptions
from headrace.adapters.duckdb.move import DuckDBMoveEvents
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.move import SqlMoveControl
from headrace.adapters.sqlite.dead_letters import SqliteDeadLetters
from headrace.adapters.sqlite.move import SqliteMoveQueue
from headrace.adapters.sqlite.task_move import SqliteMoveTasks
from headrace.adapters.system.clock import SystemClock
from headrace.adapters.system.directory_lock import DirectoryLock
from headrace.adapters.system.key_file import SystemKeyFile
from headrace.config import Settings
from headrace.errors import Unusable
from headrace.operations.move import From, Into, Move
from headrace.operations.restore import READY
from headrace.ports.clock import Clock
from headrace.ports.move import Watcher
from headrace.wiring.urls import Urls, control_file_url

_FILES = ("control.db", "events.duckdb", "queue.db", "dead-letters.db")


@asynccontextmanager
async def moving(settings: Settings, watcher: Watcher) -> AsyncIterator[Move]:
    """The data directory is locked meanwhile. Raises DirectoryLocked, Unusable and Unavailable."""
    urls = Urls.of(settings)
    if urls.needs_directory:
        raise Unusable("Say where to copy everything: --to postgresql://user:password@host/database.")
    data = settings.data_dir
    _check(data)
    os.umask(0o077)
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        stack.enter_context(DirectoryLock(data, wait=0))
        here = await _open_from(settings, stack)
        there = await _open_into(urls, clock, stack)
        yield Move(here, there, clock, watcher)


def _check(data: Path) -> None:
    if (data / READY).exists():
        raise Unusable(f"A restored backup waits in {data} for the next start: start and stop a server on it first.")
    missing = [name for name in _FILES if not (data / name).exists() and not _successors(data, name)]
    if missing:
        raise Unusable(f"{data} is no data directory of Headrace (no {', '.join(missing)}): name one with --data-dir.")


def _successors(data: Path, name: str) -> bool:
    """queue-2.db and so on: the first may be gone."""
    return name == "queue.db" and any(data.glob("queue-*.db"))


async def _open_from(settings: Settings, stack: AsyncExitStack) -> From:
    data = settings.data_dir
    control = await ControlDatabase.open(control_file_url(data), migrate=False)
    stack.push_async_callback(control.close)
    options = DuckDBOptions(
        data / "events.duckdb", settings.store_memory_bytes, threads=settings.store_threads, read_only=True
    )
    events = await DuckDBMoveEvents.open(options)
    stack.push_async_callback(events.close)
    dead_letters = await SqliteDeadLetters.open(data / "dead-letters.db")
    stack.push_async_callback(dead_letters.close)
    tasks = await SqliteMoveTasks.open(data / "tasks.db")
    stack.push_async_callback(tasks.close)
    secret = None if settings.secret_key.get_secret_value() else SystemKeyFile(data / "secret.key").read()
    queue = SqliteMoveQueue(data / "queue.db")
    return From(SqlMoveControl(control), events, queue, dead_letters, tasks, secret)


async def _open_into(urls: Urls, clock: Clock, stack: AsyncExitStack) -> Into:
    from headrace.adapters.postgres.dead_letters import PostgresDeadLetters
    from headrace.adapters.postgres.move import PostgresMoveEvents, PostgresMoveQueue
    from headrace.adapters.postgres.task_move import PostgresMoveTasks
    from headrace.adapters.sql.move import SqlMoveInto

    control = await SqlMoveInto.open(urls.control, clock)
    stack.push_async_callback(control.close)
    events = await PostgresMoveEvents.open(urls.events, clock)
    stack.push_async_callback(events.close)
    queue = await PostgresMoveQueue.open(urls.queue, clock)
    stack.push_async_callback(queue.close)
    dead_letters = await PostgresDeadLetters.open(urls.queue, clock)
    stack.push_async_callback(dead_letters.close)
    tasks = await PostgresMoveTasks.open(urls.tasks, clock)
    stack.push_async_callback(tasks.close)
    return Into(control, events, queue, dead_letters, tasks)
