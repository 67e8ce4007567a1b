"""What is chosen by the settings and opened: one adapter for each port.

The scheme of a URL chooses; no URL is the embedded profile, in the files of the data directory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.busy_queries import SqlBusyQueries
from headrace.adapters.sql.database import ControlDatabase, ControlOptions
from headrace.adapters.sql.keys import SqlKeys
from headrace.adapters.sql.saved_searches import SqlSavedSearches
from headrace.adapters.sql.sessions import SqlSessions
from headrace.adapters.sql.signing_keys import SqlSigningKeys
from headrace.adapters.sql.usage import SqlUsage
from headrace.adapters.system.clock import SystemClock
from headrace.config import Settings
from headrace.errors import Unavailable
from headrace.kit.breaker import Breaker
from headrace.ports.accounts import Accounts
from headrace.ports.audit import AuditOutbox
from headrace.ports.buckets import Buckets
from headrace.ports.bus import Bus
from headrace.ports.busy_queries import BusyQueries
from headrace.ports.clock import Clock
from headrace.ports.dead_letters import DeadLetters
from headrace.ports.events import Events
from headrace.ports.identity_provider import IdentityProvider
from headrace.ports.keys import Keys
from headrace.ports.limiter import Limiter
from headrace.ports.metrics import Metrics
from headrace.ports.notifier import Notifier
from headrace.ports.queue import Queue
from headrace.ports.recent import Recent
from headrace.ports.saved_searches import SavedSearches
from headrace.ports.schedules import Schedules
from headrace.ports.sessions import Sessions
from headrace.ports.signing_keys import SigningKeys
from headrace.ports.snapshot import Snapshot
from headrace.ports.tasks import Tasks
from headrace.ports.usage import UsageLedger
from headrace.wiring.roles import Place
from headrace.wiring.urls import Urls, control_file_url

if TYPE_CHECKING:
    from headrace.adapters.sqlite.spool import SpoolFolder


@dataclass(frozen=True, slots=True)
class Adapters:
    """Everything that was chosen and opened, by the port that it implements."""

    accounts: Accounts
    audit: AuditOutbox
    buckets: Buckets
    bus: Bus
    busy_queries: BusyQueries
    clock: Clock
    control: ControlDatabase
    dead_letters: DeadLetters
    events: Events
    guarantee: str
    """What 202 means here, in a sentence."""
    identity_provider: IdentityProvider | None
    keys: Keys
    limiter: Limiter
    metrics: Metrics
    notifier: Notifier
    queue: Queue
    recent: Recent
    saved_searches: SavedSearches
    schedules: Schedules
    sessions: Sessions
    signing_keys: SigningKeys
    tell_siblings: Callable[[], Awaitable[int]] | None
    """A step that lets the other processes of one server know what this one counted; None when it is alone."""
    spool: SpoolFolder | None
    """Where blocks go while the queue is away; None without HEADRACE_SPOOL."""
    snapshots: tuple[Snapshot, ...]
    """What a backup copies, in this order (see operations/backup.py); empty where a database server keeps the data."""
    tasks: Tasks
    usage: UsageLedger


async def open_adapters(settings: Settings, stack: AsyncExitStack, among: Place | None = None) -> Adapters:
    """All of them; `stack` closes them again, the last one first. `among`: one of several processes of a server."""
    clock, metrics = SystemClock(), PrometheusMetrics()
    if among is not None:
        metrics.share(*among)
    urls = Urls.of(settings)
    control = await ControlDatabase.open(
        urls.control or control_file_url(settings.data_dir),
        migrate=settings.migrate == "on",
        clock=clock,
        options=_control_options(settings),
    )
    stack.push_async_callback(control.close)
    buckets = SqlBuckets(control)
    events, bus, recent = await _events(settings, urls, buckets, clock, stack)
    queue, dead_letters = await _queue(settings, urls, clock, stack)
    tasks, schedules = await _tasks(settings, urls, clock, stack)
    return Adapters(
        accounts=SqlAccounts(control),
        audit=SqlAuditOutbox(control),
        buckets=buckets,
        bus=bus,
        busy_queries=SqlBusyQueries(control),
        clock=clock,
        control=control,
        dead_letters=dead_letters,
        events=events,
        guarantee=await _guarantee(settings, urls, clock),
        identity_provider=_identity_provider(settings, clock, stack),
        keys=SqlKeys(control),
        limiter=await _limiter(settings, urls, clock, stack),
        metrics=metrics,
        notifier=_notifier(settings, clock),
        queue=queue,
        recent=recent,
        saved_searches=SqlSavedSearches(control),
        schedules=schedules,
        sessions=SqlSessions(control),
        signing_keys=SqlSigningKeys(control),
        tell_siblings=None if among is None else metrics.step,
        spool=await _spool(settings, urls, clock, stack),
        snapshots=_snapshots(tasks, queue, events, dead_letters, control) if urls.is_embedded else (),
        tasks=tasks,
        usage=SqlUsage(control),
    )


async def _events(
    settings: Settings, urls: Urls, buckets: Buckets, clock: Clock, stack: AsyncExitStack
) -> tuple[Events, Bus, Recent]:
    if not urls.events:
        from headrace.wiring import embedded

        return await embedded.open_events(settings, clock, stack)
    from headrace.wiring import postgres

    return await postgres.open_events(settings, urls, buckets, clock, stack)


async def _queue(
    settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack
) -> tuple[Queue, DeadLetters]:
    if not urls.queue:
        from headrace.wiring import embedded

        return await embedded.open_queue(settings, clock, stack)
    from headrace.wiring import postgres

    return await postgres.open_queue(settings, urls, clock, stack)


async def _tasks(
    settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack
) -> tuple[Tasks, Schedules]:
    if not urls.tasks:
        from headrace.wiring import embedded

        return await embedded.open_tasks(settings, stack)
    from headrace.wiring import postgres

    return await postgres.open_tasks(settings, urls, clock, stack)


async def _guarantee(settings: Settings, urls: Urls, clock: Clock) -> str:
    if not urls.queue:
        from headrace.wiring import embedded

        return embedded.GUARANTEE
    from headrace.wiring import postgres

    return await postgres.guarantee(settings, urls, clock)


def _snapshots(*stores: object) -> tuple[Snapshot, ...]:
    from headrace.wiring import embedded

    return embedded.snapshots(*stores)


async def _spool(settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack) -> SpoolFolder | None:
    if not settings.spool or not urls.queue:  # a queue in a file of ours is never away
        return None
    from headrace.adapters.sqlite.spool import SpoolFolder

    spool = await SpoolFolder.take(settings.data_dir / "spool", clock, settings.queue_max_bytes)
    stack.push_async_callback(spool.close)
    return spool


async def _limiter(settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack) -> Limiter:
    if not urls.control:
        from headrace.wiring import embedded

        return embedded.limiter(clock)
    from headrace.wiring import postgres

    return await postgres.open_limiter(settings, urls, clock, stack)


def _control_options(settings: Settings) -> ControlOptions:
    return ControlOptions(
        connections=settings.control_connections,
        failures=settings.breaker_failures,
        seconds=settings.breaker_seconds,
    )


def _breaker(name: str, settings: Settings, clock: Clock) -> Breaker:
    return Breaker(
        name,
        clock.monotonic,
        Unavailable,
        lambda error: isinstance(error, Unavailable),
        failures=settings.breaker_failures,
        seconds=settings.breaker_seconds,
    )


def _notifier(settings: Settings, clock: Clock) -> Notifier:
    if settings.smtp_url.get_secret_value():
        from headrace.adapters.smtp.notifier import SmtpNotifier

        url = settings.smtp_url.get_secret_value()
        return SmtpNotifier(url, settings.mail_from, clock, breaker=_breaker("the mail server", settings, clock))
    from headrace.adapters.outbox.notifier import OutboxNotifier

    return OutboxNotifier(Path(settings.data_dir) / "outbox", settings.mail_from, clock)


def _identity_provider(settings: Settings, clock: Clock, stack: AsyncExitStack) -> IdentityProvider | None:
    if not settings.oidc_issuer:
        return None
    from headrace.adapters.oidc.identity_provider import OidcProvider

    provider = OidcProvider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret.get_secret_value(),
        settings.oidc_scopes,
        clock,
        breaker=_breaker("the OpenID provider", settings, clock),
    )
    stack.push_async_callback(provider.close)
    return provider
