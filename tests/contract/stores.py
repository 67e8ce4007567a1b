"""The adapters of `ports/events` that the suites run against. A new one is one entry here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.ports.events import Events

Opener = Callable[[Path, MemoryClock], Awaitable[Events]]
"""Opens the store in a directory: the same one again after it was closed."""


async def _duckdb(directory: Path, clock: MemoryClock) -> Events:
    from headrace.adapters.duckdb.events import DuckDBEvents, DuckDBOptions

    return await DuckDBEvents.open(DuckDBOptions(directory / "events.duckdb", query_timeout=20, threads=1), clock)


STORES = [pytest.param(_duckdb, id="duckdb")]
