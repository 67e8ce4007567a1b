"""The adapters of `ports/events` that the suites run against. A new one is one entry here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.ports.events import Events
from tests.support.postgres import Cluster

Opener = Callable[[Path, MemoryClock], Awaitable[Events]]
"""Opens the store in a directory: the same one again after it was closed."""


def _duckdb(_request: pytest.FixtureRequest) -> Opener:
    from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions

    async def open_(directory: Path, clock: MemoryClock) -> Events:
        return await DuckDBEvents.open(DuckDBOptions(directory / "events.duckdb", query_timeout=20, threads=1), clock)

    return open_


def _postgres(request: pytest.FixtureRequest) -> Opener:
    """A directory stands for a database of its own."""
    from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions

    cluster: Cluster = request.getfixturevalue("postgres")
    template: str = request.getfixturevalue("events_template")
    urls: dict[Path, str] = {}

    async def open_(directory: Path, clock: MemoryClock) -> Events:
        if directory not in urls:
            urls[directory] = url = await asyncio.to_thread(cluster.create_database, template)
            request.addfinalizer(lambda: cluster.drop_database(url))
        return await PostgresEvents.open(PostgresOptions(urls[directory], query_timeout=20), clock)

    return open_


STORES: dict[str, Callable[[pytest.FixtureRequest], Opener]] = {"duckdb": _duckdb, "postgres": _postgres}
