"""The scaled profile's first step: what machines share is one PostgreSQL, or one for each part."""

from __future__ import annotations

import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from headrace.adapters.memory.recent import MemoryRecent
from headrace.adapters.postgres.bus import PostgresBus
from headrace.adapters.postgres.database import BreakerOptions, Database
from headrace.adapters.postgres.dead_letters import PostgresDeadLetters
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.postgres.guarantee import guarantee_of
from headrace.adapters.postgres.layout import prepare
from headrace.adapters.postgres.limiter import LIMITER, PostgresLimiter
from headrace.adapters.postgres.queue import PostgresQueue
from headrace.adapters.postgres.schedules import PostgresSchedules
from headrace.adapters.postgres.tasks import PostgresTasks
from headrace.adapters.shards.bus import ShardedBus
from headrace.adapters.shards.events import Shard, ShardedEvents
from headrace.config import Settings
from headrace.errors import Unavailable
from headrace.ports.buckets import Buckets
from headrace.ports.bus import Bus
from headrace.ports.clock import Clock
from headrace.ports.dead_letters import DeadLetters
from headrace.ports.events import Events
from headrace.ports.limiter import Limiter
from headrace.ports.queue import Queue
from headrace.ports.recent import Recent
from headrace.ports.schedules import Schedules
from headrace.ports.tasks import Tasks
from headrace.wiring.urls import Urls

_log = logging.getLogger(__name__)

LIMITER_CONNECTIONS = 2
_NOTHING_AT_HAND = 0  # a cache in one process would not hear of what others store and delete


async def open_events(
    settings: Settings, urls: Urls, buckets: Buckets, clock: Clock, stack: AsyncExitStack
) -> tuple[Events, Bus, Recent]:
    events: Events
    bus: Bus
    options = _events_options(settings, urls)
    if urls.shards:
        events, bus = await _open_shards(options, urls, buckets, clock, stack)
    else:
        events = await PostgresEvents.open(options, clock)
        stack.push_async_callback(events.close)
        bus = await _open_bus(urls.events, urls.direct, options, clock, stack)
    return events, bus, MemoryRecent(_NOTHING_AT_HAND)


async def open_queue(
    settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack
) -> tuple[Queue, DeadLetters]:
    migrate, options = settings.migrate == "on", _breaker(settings)
    queue = await PostgresQueue.open(
        urls.queue,
        clock,
        direct_url=urls.direct,
        max_bytes=settings.queue_max_bytes,
        options=options,
        migrate=migrate,
        may_be_away=settings.spool,
    )
    stack.push_async_callback(queue.close)
    dead_letters = await PostgresDeadLetters.open(urls.queue, clock, options=options, migrate=migrate)
    stack.push_async_callback(dead_letters.close)
    return queue, dead_letters


async def open_tasks(
    settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack
) -> tuple[Tasks, Schedules]:
    tasks = await PostgresTasks.open(
        urls.tasks, clock, direct_url=urls.direct, options=_breaker(settings), migrate=settings.migrate == "on"
    )
    stack.push_async_callback(tasks.close)
    return tasks, PostgresSchedules(tasks)


async def open_limiter(settings: Settings, urls: Urls, clock: Clock, stack: AsyncExitStack) -> Limiter:
    database = Database(urls.control, clock, name="the limits", size=LIMITER_CONNECTIONS, options=_breaker(settings))
    await database.open()
    stack.push_async_callback(database.close)
    await prepare(database, LIMITER, migrate=settings.migrate == "on")
    return PostgresLimiter(database, clock)


async def guarantee(settings: Settings, urls: Urls, clock: Clock) -> str:
    """What 202 means; said in the log when that is not much."""
    database = Database(urls.queue, clock, name="the queue's database", size=1, options=_breaker(settings))
    await database.open()
    try:
        found = await guarantee_of(database)
    except Unavailable:
        return ""  # with a spool it may be away: what it promises is not known then
    finally:
        await database.close()
    if not found.durable:
        _log.warning("%s", found.sentence)
    spool = "; while it is away: committed and flushed on this machine" if settings.spool else ""
    return found.sentence + spool


def _events_options(settings: Settings, urls: Urls) -> PostgresOptions:
    return PostgresOptions(
        url=urls.events,
        query_timeout=settings.query_timeout,
        max_reads=settings.query_concurrency,
        breaker=_breaker(settings),
        migrate=settings.migrate == "on",
        replica_urls=urls.replicas,
        replica_max_lag=settings.replica_max_lag,
    )


async def _open_shards(
    options: PostgresOptions, urls: Urls, buckets: Buckets, clock: Clock, stack: AsyncExitStack
) -> tuple[ShardedEvents, ShardedBus]:
    """The first is the one there was before there were several; replicas are of that one."""
    each = [options]
    for number, url in enumerate(urls.shards, 1):
        each.append(replace(options, url=url, name=f"shard {number} of the events", number=number, replica_urls=()))
    shards = [Shard(one.number, partial(PostgresEvents.open, one, clock)) for one in each]
    events = ShardedEvents(shards, buckets, clock)
    stack.push_async_callback(events.close)
    await events.open()
    buses = [await _open_bus(one.url, urls.direct if one is options else "", one, clock, stack) for one in each]
    return events, ShardedBus(buses)


async def _open_bus(
    url: str, direct_url: str, options: PostgresOptions, clock: Clock, stack: AsyncExitStack
) -> PostgresBus:
    bus = PostgresBus(url, clock, direct_url=direct_url, options=options.breaker)
    await bus.open()
    stack.push_async_callback(bus.close)
    return bus


def _breaker(settings: Settings) -> BreakerOptions:
    return BreakerOptions(settings.breaker_failures, settings.breaker_seconds)
