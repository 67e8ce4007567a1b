"""From ports to features: what the doors may call, and the loops beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from headrace import __version__
from headrace.auth.sealing import Sealer
from headrace.buckets.catalog import BucketCatalog
from headrace.buckets.grants import GrantDesk
from headrace.config import Settings
from headrace.ingest.audit import AuditForwarder
from headrace.ingest.batcher import Batcher
from headrace.ingest.drain import Drain
from headrace.ingest.frame import pack_letter, show_letter
from headrace.ingest.intake import Intake
from headrace.ingest.spooled_queue import Orphan, SpooledQueue
from headrace.ingest.stored import StoredWaiter
from headrace.kit.times import SECOND
from headrace.metering.gate import Gate, GateOptions
from headrace.metering.usage import UsageDesk, UsageMeter
from headrace.operations.backup import Backup
from headrace.operations.dead_letters import DeadLetterDesk, Envelope
from headrace.operations.health import About, Health
from headrace.operations.history import SAMPLE_SECONDS, History
from headrace.operations.restore import Restore
from headrace.operations.watched_queue import WatchedQueue
from headrace.query.saved import SavedSearchDesk
from headrace.query.tail import Tail
from headrace.retention.retention import Retention
from headrace.services import Services
from headrace.wiring.adapters import Adapters
from headrace.wiring.identity import Identity, build_identity
from headrace.wiring.reading import Reading, build_reading
from headrace.wiring.roles import SERVE, Role
from headrace.wiring.room import free_bytes_of
from headrace.wiring.steps import Step
from headrace.wiring.tasks import TaskFeatures, build_tasks
from headrace.wiring.urls import Urls
from headrace.workers.loop import Pace

_AUDIT_PACE = Pace(idle=0.5)
_WARMING_PACE = Pace(idle=60.0)
_BACKED_UP = frozenset(("tasks.db", "queue.db", "dead-letters.db", "events.duckdb", "control.db"))


@dataclass(frozen=True, slots=True)
class Features:
    """Everything that decides something, and how it is kept going."""

    services: Services
    identity: Identity
    batcher: Batcher
    meter: UsageMeter
    tasks: TaskFeatures
    waiter: StoredWaiter
    steps: Sequence[Step]


def build(
    settings: Settings, ports: Adapters, sealer: Sealer, restart: asyncio.Event, role: Role = "serve"
) -> Features:
    """`restart` is set when the server is to start again with restored data. Raises Unusable."""
    spooled = _spooled(ports)
    queue = WatchedQueue(spooled or ports.queue, ports.clock)
    identity = build_identity(settings, ports, sealer)
    batcher = Batcher(queue, ports.clock, ports.metrics, max_bytes=settings.intake_max_bytes)
    waiter = StoredWaiter(ports.events, ports.bus)
    meter = UsageMeter(ports.usage, ports.clock)
    intake = Intake(batcher, waiter, ports.clock, ports.metrics, ports.events.trouble)
    reading = build_reading(settings, ports, queue)
    tasks = build_tasks(settings, ports, batcher, reading)
    services = _services(settings, ports, queue, intake, identity, meter, reading, tasks, restart, spooled)
    return Features(
        services=services,
        identity=identity,
        batcher=batcher,
        meter=meter,
        tasks=tasks,
        waiter=waiter,
        steps=[
            *tasks.steps,
            Step("warming", reading.warming.step, _WARMING_PACE, SERVE),
            *_steps(settings, ports, queue, batcher, drains=settings.concurrency if role == "work" else 1),
            *identity.steps,
            Step("usage", meter.step, Pace(idle=settings.usage_interval)),
            Step("history", services.history.step, Pace(idle=SAMPLE_SECONDS), SERVE),
            *([Step("spool", spooled.forward_step, Pace(), SERVE)] if spooled else []),
        ],
    )


def _spooled(ports: Adapters) -> SpooledQueue | None:
    if (folder := ports.spool) is None:
        return None

    async def orphan() -> Orphan | None:
        return await folder.orphan(ports.clock)

    return SpooledQueue(ports.queue, folder.queue, orphan, ports.clock)


def _steps(settings: Settings, ports: Adapters, queue: WatchedQueue, batcher: Batcher, drains: int) -> list[Step]:
    forwarder = AuditForwarder(ports.audit, ports.buckets, batcher)
    retention = Retention(
        ports.buckets, ports.events, ports.recent, queue, ports.metrics, ports.clock, settings.dedup_window * SECOND
    )
    steps = [
        Step("audit", forwarder.step, _AUDIT_PACE),
        Step("retention", retention.step, Pace(idle=settings.retention_interval)),
    ]
    if settings.drain == "on":
        steps += [Step(f"drain-{number}", _drain(ports, queue).step, Pace()) for number in range(1, drains + 1)]
    return steps


def _drain(ports: Adapters, queue: WatchedQueue) -> Drain:
    return Drain(queue, ports.events, ports.dead_letters, ports.recent, ports.bus, ports.clock, ports.metrics)


def _services(
    settings: Settings,
    ports: Adapters,
    queue: WatchedQueue,
    intake: Intake,
    identity: Identity,
    meter: UsageMeter,
    reading: Reading,
    tasks: TaskFeatures,
    restart: asyncio.Event,
    spooled: SpooledQueue | None,
) -> Services:
    data, clock, metrics = settings.data_dir, ports.clock, ports.metrics

    free_bytes = free_bytes_of(data)
    forget = identity.authenticator.forget
    files: frozenset[str] = _BACKED_UP if ports.snapshots else frozenset()
    catalog = BucketCatalog(ports.buckets, ports.events, clock, forget, 1 + len(Urls.of(settings).shards))
    return Services(
        authenticator=identity.authenticator,
        sign_in=identity.sign_in,
        browser=identity.browser,
        registration=identity.registration,
        users=identity.users,
        keys=identity.keys,
        tokens=identity.tokens,
        viewer_tokens=identity.viewer_tokens,
        oidc=identity.oidc,
        buckets=catalog,
        grants=GrantDesk(catalog, ports.accounts, clock, forget),
        gate=_gate(settings, ports, meter),
        usage=UsageDesk(ports.usage, meter, clock),
        intake=intake,
        reader=reading.reader,
        saved=SavedSearchDesk(ports.saved_searches, clock),
        tail=Tail(ports.events, ports.bus, clock, metrics, most=settings.tails),
        export=reading.export,
        exports=tasks.exports,
        submission=tasks.submission,
        tasks=tasks.desk,
        leasing=tasks.leasing,
        task_queues=tasks.queues,
        schedules=tasks.schedules,
        dead_letters=DeadLetterDesk(
            ports.dead_letters, queue, ports.buckets, clock, ports.audit, Envelope(pack_letter, show_letter)
        ),
        health=Health(
            queue,
            ports.events,
            ports.dead_letters,
            clock,
            metrics,
            about=About(Urls.of(settings).profile, __version__, ports.guarantee),
            free_bytes=free_bytes,
            min_free_bytes=settings.min_free_bytes,
            spooled=spooled.spooled if spooled else None,
            lags=getattr(ports.events, "lags", None),
            tasks=ports.tasks.queues,
        ),
        history=History(queue, ports.events, metrics, clock),
        backup=Backup(ports.snapshots, data, clock, ports.audit, __version__),
        restore=Restore(data, files, clock, ports.audit, free_bytes=free_bytes, restart=restart.set),
        metrics=metrics,
        clock=clock,
    )


def _gate(settings: Settings, ports: Adapters, meter: UsageMeter) -> Gate:
    options = GateOptions(
        key=settings.key_rate_limit, user=settings.user_rate_limit, address=settings.address_rate_limit
    )
    return Gate(ports.limiter, ports.clock, options, meter)
