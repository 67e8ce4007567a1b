"""The embedded profile: everything in the files of the data directory, owned by one process."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, cast

from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions
from headrace.adapters.memory.bus import MemoryBus
from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.adapters.memory.recent import MemoryRecent
from headrace.adapters.sqlite.dead_letters import SqliteDeadLetters
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.adapters.sqlite.schedules import SqliteSchedules
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.config import Settings
from headrace.ports.bus import Bus
from headrace.ports.clock import Clock
from headrace.ports.dead_letters import DeadLetters
from headrace.ports.events import Events
from headrace.ports.limiter import Limiter
from headrace.ports.queue import Queue
from headrace.ports.recent import Recent
from headrace.ports.schedules import Schedules
from headrace.ports.snapshot import Snapshot
from headrace.ports.tasks import Tasks

GUARANTEE = "202 means: committed and flushed on this machine; its disk can still lose it"


async def open_events(settings: Settings, clock: Clock, stack: AsyncExitStack) -> tuple[Events, Bus, Recent]:
    events = await DuckDBEvents.open(_duckdb_options(settings), clock)
    stack.push_async_callback(events.close)
    return events, MemoryBus(), MemoryRecent(settings.recent_events)


async def open_queue(settings: Settings, clock: Clock, stack: AsyncExitStack) -> tuple[Queue, DeadLetters]:
    queue = await SqliteQueue.open(settings.data_dir / "queue.db", clock, max_bytes=settings.queue_max_bytes)
    stack.push_async_callback(queue.close)
    dead_letters = await SqliteDeadLetters.open(settings.data_dir / "dead-letters.db")
    stack.push_async_callback(dead_letters.close)
    return queue, dead_letters


async def open_tasks(settings: Settings, stack: AsyncExitStack) -> tuple[Tasks, Schedules]:
    tasks = await SqliteTasks.open(settings.data_dir / "tasks.db")
    stack.push_async_callback(tasks.close)
    return tasks, SqliteSchedules(tasks)


def limiter(clock: Clock) -> Limiter:
    return MemoryLimiter(clock)


def snapshots(*stores: Any) -> tuple[Snapshot, ...]:  # Any: each is its own port, and a Snapshot too
    return cast("tuple[Snapshot, ...]", stores)


def _duckdb_options(settings: Settings) -> DuckDBOptions:
    return DuckDBOptions(
        path=settings.data_dir / "events.duckdb",
        memory_limit=settings.store_memory_bytes,
        threads=settings.store_threads,
        query_timeout=settings.query_timeout,
        max_reads=settings.query_concurrency,
    )
