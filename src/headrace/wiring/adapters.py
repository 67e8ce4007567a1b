"""What is chosen by the settings and opened: one adapter for each port."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions
from headrace.adapters.memory.bus import MemoryBus
from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.adapters.memory.recent import MemoryRecent
from headrace.adapters.prometheus.metrics import PrometheusMetrics
from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.buckets import SqlBuckets
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.engine import file_url
from headrace.adapters.sql.keys import SqlKeys
from headrace.adapters.sql.saved_searches import SqlSavedSearches
from headrace.adapters.sql.sessions import SqlSessions
from headrace.adapters.sql.signing_keys import SqlSigningKeys
from headrace.adapters.sql.usage import SqlUsage
from headrace.adapters.sqlite.dead_letters import SqliteDeadLetters
from headrace.adapters.sqlite.queue import SqliteQueue
from headrace.adapters.system.clock import SystemClock
from headrace.config import Settings
from headrace.ports.identity_provider import IdentityProvider
from headrace.ports.notifier import Notifier


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
    identity_provider: IdentityProvider | None
    keys: SqlKeys
    limiter: MemoryLimiter
    metrics: PrometheusMetrics
    notifier: Notifier
    queue: SqliteQueue
    recent: MemoryRecent
    saved_searches: SqlSavedSearches
    sessions: SqlSessions
    signing_keys: SqlSigningKeys
    usage: SqlUsage


async def open_adapters(settings: Settings, stack: AsyncExitStack) -> Adapters:
    """All of them; `stack` closes them again, the last one first."""
    data, clock = settings.data_dir, SystemClock()
    control = await ControlDatabase.open(control_url(data), migrate=settings.migrate == "on")
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
        identity_provider=_identity_provider(settings, clock, stack),
        keys=SqlKeys(control),
        limiter=MemoryLimiter(clock),
        metrics=PrometheusMetrics(),
        notifier=_notifier(settings, clock),
        queue=queue,
        recent=MemoryRecent(settings.recent_events),
        saved_searches=SqlSavedSearches(control),
        sessions=SqlSessions(control),
        signing_keys=SqlSigningKeys(control),
        usage=SqlUsage(control),
    )


def control_url(data: Path) -> str:
    return file_url(data / "control.db")


def _notifier(settings: Settings, clock: SystemClock) -> Notifier:
    if settings.smtp_url.get_secret_value():
        from headrace.adapters.smtp.notifier import SmtpNotifier

        return SmtpNotifier(settings.smtp_url.get_secret_value(), settings.mail_from, clock)
    from headrace.adapters.outbox.notifier import OutboxNotifier

    return OutboxNotifier(settings.data_dir / "outbox", settings.mail_from, clock)


def _identity_provider(
    settings: Settings, clock: SystemClock, stack: AsyncExitStack
) -> IdentityProvider | None:
    if not settings.oidc_issuer:
        return None
    from headrace.adapters.oidc.identity_provider import OidcProvider

    provider = OidcProvider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret.get_secret_value(),
        settings.oidc_scopes,
        clock,
    )
    stack.push_async_callback(provider.close)
    return provider


def _duckdb_options(settings: Settings) -> DuckDBOptions:
    return DuckDBOptions(
        path=settings.data_dir / "events.duckdb",
        memory_limit=settings.store_memory_bytes,
        threads=settings.store_threads,
        query_timeout=settings.query_timeout,
        max_reads=settings.query_concurrency,
        dedup_window=settings.dedup_window,
    )
