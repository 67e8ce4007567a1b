"""The scaled profile's first step: what machines share is one PostgreSQL, or one for each part."""

from __future__ import annotations

from contextlib import AsyncExitStack

from headrace.adapters.memory.recent import MemoryRecent
from headrace.adapters.postgres.bus import PostgresBus
from headrace.adapters.postgres.database import BreakerOptions
from headrace.adapters.postgres.dead_letters import PostgresDeadLetters
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.postgres.queue import PostgresQueue
from headrace.config import Settings
from headrace.ports.bus import Bus
from headrace.ports.clock import Clock
from headrace.ports.dead_letters import DeadLetters
from headrace.ports.events import Events
from headrace.ports.limiter import Limiter
from headrace.ports.queue import Queue
from headrace.ports.recent import Recent
from headrace.wiring.urls import Urls

_NOTHING_AT_HAND = 0  # a cache in one process would not hear of what others store and delete


async def open_events(
    settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack
) -> tuple[Events, Bus, Recent]:
    options = PostgresOptions(
        url=urls.events,
        query_timeout=settings.query_timeout,
        max_reads=settings.query_concurrency,
        breaker=_breaker(settings),
        migrate=settings.migrate == "on",
    )
    events = await PostgresEvents.open(options, clock)
    stack.push_async_callback(events.close)
    bus = PostgresBus(urls.events, clock, direct_url=urls.direct, options=_breaker(settings))
    await bus.open()
    stack.push_async_callback(bus.close)
    return events, bus, MemoryRecent(_NOTHING_AT_HAND)


async def open_queue(
    settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack
) -> tuple[Queue, DeadLetters]:
    migrate, options = settings.migrate == "on", _breaker(settings)
    queue = await PostgresQueue.open(
        urls.queue, clock, direct_url=urls.direct, max_bytes=settings.queue_max_bytes, options=options, migrate=migrate
    )
    stack.push_async_callback(queue.close)
    dead_letters = await PostgresDeadLetters.open(urls.queue, clock, options=options, migrate=migrate)
    stack.push_async_callback(dead_letters.close)
    return queue, dead_letters


async def open_limiter(settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack) -> Limiter:
    from headrace.adapters.postgres.limiter import PostgresLimiter

    limiter = await PostgresLimiter.open(
        urls.control, clock, options=_breaker(settings), migrate=settings.migrate == "on"
    )
    stack.push_async_callback(limiter.close)
    return limiter


def _breaker(settings: Settings) -> BreakerOptions:
    return BreakerOptions(settings.breaker_failures, settings.breaker_seconds)
