"""The composition root: Settings → adapters → Services, and the loops beside them. Nothing is chosen anywhere else."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace import __version__
from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions
from headrace.adapters.memory.bus import MemoryBus
from headrace.adapters.memory.recent import MemoryRecent
from headrace.adapters.parquet.export_format import ParquetFormat
from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.engine import file_url
from headrace.adapters.sqlite.dead_letters import SqliteDeadLetters
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.adapters.system.clock import SystemClock
from headrace.adapters.system.directory_lock import DirectoryLock
from headrace.adapters.system.key_file import SystemKeyFile
from headrace.auth.authenticate import Authenticator
from headrace.auth.bootstrap import ensure_admin_key
from headrace.buckets.catalog import BucketCatalog
from headrace.config import Settings
from headrace.ingest.audit import AuditForwarder
from headrace.ingest.batcher import Batcher
from headrace.ingest.drain import Drain
from headrace.ingest.frame import pack_letter, show_letter
from headrace.ingest.intake import Intake
from headrace.ingest.stored import StoredWaiter
from headrace.kit.times import SECOND
from headrace.operations.backup import Backup
from headrace.operations.dead_letters import DeadLetterDesk, Envelope
from headrace.operations.health import About, Health
from headrace.operations.restore import Restore, swap_in
from headrace.operations.watched_queue import WatchedQueue
from headrace.query.export import TEXT_FORMATS, Export
from headrace.query.reader import Reader
from headrace.query.tail import Tail
from headrace.retention.retention import Retention
from headrace.services import Services
from headrace.web.app import WebOptions, create_app
from headrace.web.fast_lane import App
from headrace.workers.loop import Pace, run

_AUDIT_PACE = Pace(idle=0.5)


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything that was chosen and opened, by the port that it implements."""

    accounts: SqlAccounts
    audit: SqlAuditOutbox
    buckets: SqlBuckets
    bus: MemoryBus
    clock: SystemClock
    control: ControlDatabase
    dead_letters: SqliteDeadLetters
    events: DuckDBEvents
    metrics: PrometheusMetrics
    queue: SqliteQueue
    recent: MemoryRecent


@dataclass(frozen=True, slots=True)
class Running:
    """A started Headrace: its web application, and what is needed to end it in good order."""

    app: App
    services: Services
    key_file: Path
    restart: asyncio.Event
    """Set when the server is to stop and start again, with restored data."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Open everything, start the loops; at the end stop them and close everything, nothing acknowledged lost.

    Raises DirectoryLocked, NewerFormat or Unusable with a text for people.
    """
    data = settings.data_dir
    async with AsyncExitStack() as stack:
        stack.enter_context(DirectoryLock(data))
        await asyncio.to_thread(swap_in, data)
        adapters = await _open(settings, stack)
        async with _built(settings, adapters) as built:
            yield built


async def migrate(settings: Settings) -> None:
    """Bring the control data up to date. Raises DirectoryLocked while a server has the directory."""
    with DirectoryLock(settings.data_dir):
        control = await ControlDatabase.open(_sqlite_url(settings.data_dir), migrate=True)
        await control.close()


async def _open(settings: Settings, stack: AsyncExitStack) -> Adapters:
    data, clock = settings.data_dir, SystemClock()
    control = await ControlDatabase.open(_sqlite_url(data), migrate=settings.migrate == "on")
    stack.push_async_callback(control.close)
    events = await DuckDBEvents.open(_duckdb_options(settings), clock)
    stack.push_async_callback(events.close)
    queue = await SqliteQueue.open(data / "queue.db", clock, max_bytes=settings.queue_max_bytes)
    stack.push_async_callback(queue.close)
    dead_letters = await SqliteDeadLetters.open(data / "dead-letters.db")
    stack.push_async_callback(dead_letters.close)
    return Adapters(
        accounts=SqlAccounts(control),
        audit=SqlAuditOutbox(control),
        buckets=SqlBuckets(control),
        bus=MemoryBus(),
        clock=clock,
        control=control,
        dead_letters=dead_letters,
        events=events,
        metrics=PrometheusMetrics(),
        queue=queue,
        recent=MemoryRecent(settings.recent_events),
    )


def _web_options(settings: Settings) -> WebOptions:
    return WebOptions(
        version=__version__,
        metrics_open=settings.metrics_open,
        access_log=settings.access_log,
        bodies_max_bytes=settings.bodies_max_bytes,
    )


def _sqlite_url(data: Path) -> str:
    return file_url(data / "control.db")


def _duckdb_options(settings: Settings) -> DuckDBOptions:
    return DuckDBOptions(
        path=settings.data_dir / "events.duckdb",
        memory_limit=settings.store_memory_bytes,
        threads=settings.store_threads,
        query_timeout=settings.query_timeout,
        max_reads=settings.query_concurrency,
        dedup_window=settings.dedup_window,
    )


@asynccontextmanager
async def _built(settings: Settings, ports: Adapters) -> AsyncIterator[Running]:
    clock, metrics = ports.clock, ports.metrics
    restart, stopping = asyncio.Event(), asyncio.Event()
    queue = WatchedQueue(ports.queue, clock)
    catalog = BucketCatalog(ports.buckets, ports.events, clock)
    await catalog.ensure_system_buckets()
    key_file = SystemKeyFile(settings.data_dir / "admin.key")
    await ensure_admin_key(ports.accounts, key_file, clock)
    batcher = Batcher(queue, clock, metrics, max_bytes=settings.intake_max_bytes)
    waiter = StoredWaiter(ports.events, ports.bus)
    services = _services(settings, ports, queue, catalog, Intake(batcher, waiter, clock, metrics), restart)
    async with asyncio.TaskGroup() as loops:
        listening = loops.create_task(waiter.run(), name="stored-waiter")
        for name, step, pace in _steps(settings, ports, queue, batcher):
            loops.create_task(run(name, step, stopping, pace), name=name)
        try:
            for bucket in await ports.buckets.list():
                await services.reader.warm(bucket)
            app = create_app(services, _web_options(settings))
            yield Running(app, services, settings.data_dir / "admin.key", restart)
        finally:
            await batcher.close()
            stopping.set()
            listening.cancel()


def _steps(
    settings: Settings, ports: Adapters, queue: WatchedQueue, batcher: Batcher
) -> list[tuple[str, Callable[[], Awaitable[int]], Pace]]:
    drain = Drain(queue, ports.events, ports.dead_letters, ports.recent, ports.bus, ports.clock, ports.metrics)
    forwarder = AuditForwarder(ports.audit, ports.buckets, batcher)
    dedup_window = settings.dedup_window * SECOND
    retention = Retention(
        ports.buckets, ports.events, ports.recent, queue, ports.metrics, ports.clock, dedup_window
    )
    steps: list[tuple[str, Callable[[], Awaitable[int]], Pace]] = [
        ("audit", forwarder.step, _AUDIT_PACE),
        ("retention", retention.step, Pace(idle=settings.retention_interval)),
    ]
    if settings.drain == "on":
        steps.append(("drain", drain.step, Pace()))
    return steps


def _services(
    settings: Settings,
    ports: Adapters,
    queue: WatchedQueue,
    catalog: BucketCatalog,
    intake: Intake,
    restart: asyncio.Event,
) -> Services:
    data, clock, metrics = settings.data_dir, ports.clock, ports.metrics

    def free_bytes() -> int:
        return shutil.disk_usage(data).free

    snapshots = (ports.queue, ports.events, ports.dead_letters, ports.control)  # the order matters: see Backup
    return Services(
        authenticator=Authenticator(ports.accounts, clock),
        buckets=catalog,
        intake=intake,
        reader=Reader(ports.events, ports.recent, metrics, clock),
        tail=Tail(ports.events, ports.bus, clock, metrics, most=settings.tails),
        export=Export(ports.events, {**TEXT_FORMATS, "parquet": ParquetFormat()}),
        dead_letters=DeadLetterDesk(
            ports.dead_letters, queue, ports.buckets, clock, ports.audit, Envelope(pack_letter, show_letter)
        ),
        health=Health(
            queue,
            ports.events,
            ports.dead_letters,
            clock,
            metrics,
            about=About("embedded", __version__),
            free_bytes=free_bytes,
            min_free_bytes=settings.min_free_bytes,
        ),
        backup=Backup(snapshots, data, clock, ports.audit, __version__),
        restore=Restore(data, _BACKED_UP, clock, ports.audit, free_bytes=free_bytes, restart=restart.set),
        metrics=metrics,
        clock=clock,
    )


_BACKED_UP = frozenset(("queue.db", "dead-letters.db", "events.duckdb", "control.db"))
