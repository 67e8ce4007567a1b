"""How many connections one process may have to each database: the sum of its pools, for `headrace doctor`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from headrace.adapters.postgres import bus, dead_letters, events, queue, tasks
from headrace.config import Settings
from headrace.wiring.postgres import LIMITER_CONNECTIONS
from headrace.wiring.urls import Urls

_LISTENER = 1  # outside of any pool, of the queue, of the bus and of the tasks


def connections_of(settings: Settings) -> Mapping[str, int]:
    """At most, by URL."""
    urls = Urls.of(settings)
    most: Counter[str] = Counter()
    if urls.control:
        most[urls.control] += settings.control_connections + LIMITER_CONNECTIONS
    if urls.queue:
        most[urls.queue] += queue.CONNECTIONS + dead_letters.CONNECTIONS + _LISTENER
    if urls.tasks:
        most[urls.tasks] += tasks.CONNECTIONS + _LISTENER
    reads = settings.query_concurrency + 1
    for url in (urls.events, *urls.shards) if urls.events else ():
        most[url] += events.WRITERS + reads + bus.CONNECTIONS + _LISTENER
    for url in urls.replicas:
        most[url] += reads
    return most
