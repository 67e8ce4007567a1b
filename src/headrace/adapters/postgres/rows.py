"""A row of `events` → StoredEvent. Times and ids come as the server has them: 8 bytes since 2000, 16 bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from psycopg.types.numeric import Int8BinaryLoader
from psycopg.types.string import ByteaBinaryLoader

from headrace.adapters.postgres.database import Connection
from headrace.kit.times import DAY
from headrace.model.event import Party, StoredEvent

COLUMNS = (
    "seq, id, time, received_at, level, service, action, actor_id, actor_type, actor_name, target_id, target_type,"
    " target_name, outcome, message, attributes, trace_id, span_id"
)

Y2K = 10_957 * DAY
"""µs from 1970 to 2000: what the times of `fetch` count from."""

_SLICE = 256  # rows made into events at once: 0.3 ms


async def fetch(connection: Connection, sql: str, params: Sequence[object]) -> list[tuple[Any, ...]]:
    """Every row of the answer; times as µs since 2000, UUIDs as bytes: an eighth of what datetimes and UUIDs cost."""
    cursor = connection.cursor(binary=True)
    cursor.adapters.register_loader("timestamptz", Int8BinaryLoader)
    cursor.adapters.register_loader("uuid", ByteaBinaryLoader)
    await cursor.execute(sql.encode(), params)
    return await cursor.fetchall()


async def fetch_events(connection: Connection, sql: str, params: Sequence[object]) -> list[StoredEvent]:
    """The events of a SELECT of COLUMNS; others get their turn in between."""
    rows = await fetch(connection, sql, params)
    found: list[StoredEvent] = []
    for start in range(0, len(rows), _SLICE):
        if start:
            await asyncio.sleep(0)
        found += map(stored_event, rows[start : start + _SLICE])
    return found


def stored_event(row: tuple[Any, ...]) -> StoredEvent:
    """The event of a row of COLUMNS, as `fetch` has it."""
    (
        seq, event_id, time, received_at, level, service, action, actor, actor_type,
        actor_name, target, target_type, target_name, outcome, message, attributes, trace_id, span_id,
    ) = row  # fmt: skip
    return StoredEvent(
        seq, int.from_bytes(event_id), time + Y2K, received_at + Y2K, level, service, action,
        None if actor is None else Party(actor, actor_type, actor_name),
        None if target is None else Party(target, target_type, target_name),
        outcome, message, attributes, trace_id, span_id,
    )  # fmt: skip
