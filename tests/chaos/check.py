"""Invariant I of RELIABILITY.md, from the ledger and from what the server lets one read. Nothing else is known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

from tests.chaos.ledger import Event, History, Sent, token

_ADDED = {"id", "bucket", "received_at"}
_MOST_TOLD = 20
_EXPECTED = {"201", "202", "503", "none"}


def violations(history: History, found: Iterable[Event], dead: Iterable[str] = ()) -> list[str]:
    """What is wrong, in words; empty when the invariant holds. `dead`: tokens of events in the dead letters."""
    broken: list[str] = []
    places: Counter[str] = Counter(dead)
    for event in found:
        name = token(event)
        places[name] += 1
        sent = history.sent.get(name)
        if sent is None:
            broken.append(f"{name}: stored, but never sent")
        else:
            broken += _differences(name, sent, event)
    for name, sent in history.sent.items():
        broken += _miscounted(name, sent, places[name])
    broken += [f"{count} answers with status {status}" for status, count in _unexpected(history)]
    return broken if len(broken) <= _MOST_TOLD else [*broken[:_MOST_TOLD], f"and {len(broken) - _MOST_TOLD} more"]


def _miscounted(name: str, sent: Sent, places: int) -> list[str]:
    broken = []
    if sent.ids and not places:
        broken.append(f"{name}: acknowledged as {', '.join(sent.ids)}, and lost")
    if places > 1:
        broken.append(f"{name}: there {places} times")
    if len(sent.ids) > 1:
        broken.append(f"{name}: acknowledged under {len(sent.ids)} ids: {', '.join(sorted(sent.ids))}")
    return broken


def _differences(name: str, sent: Sent, event: Event) -> list[str]:
    broken = []
    if sent.ids and event["id"] not in sent.ids:
        broken.append(f"{name}: stored as {event['id']}, acknowledged as {', '.join(sent.ids)}")
    wanted = {field: value for field, value in sent.event.items() if field != "dedup_key"}
    given = {field: value for field, value in event.items() if field not in _ADDED or field in wanted}
    if "time" not in wanted:
        given.pop("time", None)
    if _exactly(wanted) != _exactly(given):
        broken.append(f"{name}: sent {_exactly(wanted)}, read {_exactly(given)}")
    return broken


def _exactly(event: Event) -> str:
    """Fields in one order, attributes in their own."""
    return json.dumps({field: event[field] for field in sorted(event)})


def _unexpected(history: History) -> list[tuple[str, int]]:
    return [(status, count) for status, count in history.statuses.items() if status not in _EXPECTED]
