"""Events for tests, as batches on their way in and as records on their way out. Ids and times are small numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headrace.kit.ids import halves
from headrace.kit.times import to_datetime
from headrace.model.event import EventBatch, Party, StoredEvent, Written

BUCKET_ID = 7


def stored_event(seq: int, time: int | None = None, id: int | None = None, **fields: Any) -> StoredEvent:
    """An event whose other fields are the least it needs: `time` and `id` are its seq unless given."""
    given: dict[str, Any] = dict.fromkeys(
        ("service", "action", "actor", "target", "outcome", "message", "attributes", "trace_id", "span_id")
    )
    given |= {"level": 2, "message": f"event {seq}", "received_at": 1} | fields
    return StoredEvent(seq=seq, time=seq if time is None else time, id=seq if id is None else id, **given)


def batch_of(events: Iterable[StoredEvent], bucket_id: int = BUCKET_ID) -> EventBatch:
    """The batch that is stored as these events."""
    batch = EventBatch()
    append(batch, events, bucket_id)
    return batch


def append(batch: EventBatch, events: Iterable[StoredEvent], bucket_id: int) -> None:
    for event in events:
        hi, lo = halves(event.id)
        batch.bucket_id.append(bucket_id)
        batch.id_hi.append(hi)
        batch.id_lo.append(lo)
        batch.time.append(to_datetime(event.time))
        batch.received_at.append(event.received_at)
        batch.level.append(event.level)
        batch.service.append(event.service)
        batch.action.append(event.action)
        _append_party(event.actor, batch.actor_id, batch.actor_type, batch.actor_name)
        _append_party(event.target, batch.target_id, batch.target_type, batch.target_name)
        batch.outcome.append(event.outcome)
        batch.message.append(event.message)
        batch.attributes.append(None if event.attributes is None else event.attributes.encode())
        batch.trace_id.append(event.trace_id)
        batch.span_id.append(event.span_id)


def _append_party(
    party: Party | None, ids: list[str | None], types: list[str | None], names: list[str | None]
) -> None:
    ids.append(party.id if party else None)
    types.append(party.type if party else None)
    names.append(party.name if party else None)


def written(events: Sequence[StoredEvent]) -> Written:
    """All of them, at the positions they say."""
    return Written(len(events), events[0].seq if events else 0)


def newest_first(events: Iterable[StoredEvent]) -> list[StoredEvent]:
    return sorted(events, key=lambda event: (event.time, event.id), reverse=True)
