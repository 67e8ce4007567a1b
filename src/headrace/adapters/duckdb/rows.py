"""A row of `events` → StoredEvent."""

from __future__ import annotations

from typing import Any

from headrace.model.event import Party, StoredEvent

COLUMNS = (
    "seq, id_hi, id_lo, epoch_us(time), epoch_us(received_at), level, service, action, actor_id, actor_type,"
    " actor_name, target_id, target_type, target_name, outcome, message, attributes, trace_id, span_id"
)


def stored_event(row: tuple[Any, ...]) -> StoredEvent:
    """The event of a row of COLUMNS."""
    (
        seq, hi, lo, time, received_at, level, service, action, actor, actor_type, actor_name,
        target, target_type, target_name, outcome, message, attributes, trace_id, span_id,
    ) = row  # fmt: skip
    return StoredEvent(
        seq, hi << 64 | lo, time, received_at, level, service, action,
        None if actor is None else Party(actor, actor_type, actor_name),
        None if target is None else Party(target, target_type, target_name),
        outcome, message, attributes, trace_id, span_id,
    )  # fmt: skip
