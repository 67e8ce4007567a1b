"""Builders of EventBatch for the suites of a store: a few lines for the event, defaults for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.kit.ids import halves, uuid7
from headrace.kit.times import SECOND, to_datetime
from headrace.model.event import LEVELS, ChosenIds, EventBatch

NOON = 1_795_176_000 * SECOND
"""2026-11-20T12:00:00Z, in µs: when the events of these suites happen, if nothing else is said."""

_TEXTS = (
    "service", "action", "actor_id", "actor_type", "actor_name", "target_id", "target_type", "target_name", "outcome",
    "message", "trace_id", "span_id",
)  # fmt: skip


def event(**fields: Any) -> dict[str, Any]:
    """An event as the columns have it; `level` by name, `time` in µs, `attributes` as JSON text."""
    return {"bucket": 1, "time": NOON, "level": "info", "id": None, **fields}


def batch_of(*events: dict[str, Any], block: int | None = None, chosen: Sequence[tuple[int, int]] = ()) -> EventBatch:
    """The events as one block (of a new id, unless given), and which rows have (row, count) ids that clients chose."""
    batch = EventBatch()
    append(batch, *events, block=block)
    batch.chosen = [ChosenIds(row, count) for row, count in chosen]
    return batch


def append(batch: EventBatch, *events: dict[str, Any], block: int | None = None) -> EventBatch:
    """Add another block to `batch`, grouped by bucket as a drain does."""
    block = uuid7(NOON) if block is None else block
    for bucket in dict.fromkeys(one["bucket"] for one in events):
        batch.blocks.append((block, bucket))
        batch.block_rows.append(len(batch))
        for one in events:
            if one["bucket"] == bucket:
                _append_row(batch, one)
    return batch


def _append_row(batch: EventBatch, one: dict[str, Any]) -> None:
    hi, lo = halves(uuid7(NOON) if one["id"] is None else one["id"])
    batch.bucket_id.append(one["bucket"])
    batch.id_hi.append(hi)
    batch.id_lo.append(lo)
    batch.time.append(to_datetime(one["time"]))
    batch.received_at.append(one.get("received_at", NOON))
    batch.level.append(LEVELS.index(one["level"]))
    attributes = one.get("attributes")
    batch.attributes.append(attributes.encode() if isinstance(attributes, str) else attributes)
    for name in _TEXTS:
        getattr(batch, name).append(one.get(name))
