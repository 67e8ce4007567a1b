"""What a filter means, written once more and as plainly as possible: what stores and features are compared with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from headrace.model.event import StoredEvent
from headrace.model.query import AttributeMatch, EventFilter, Word


def matches(event: StoredEvent, wanted: EventFilter) -> bool:
    """Whether `event` is what `wanted` asks for. Attributes: scalars at a path of plain keys."""
    return _matches(event, wanted) and (wanted.within is None or matches(event, wanted.within))


def _matches(event: StoredEvent, wanted: EventFilter) -> bool:
    attributes: dict[str, Any] = json.loads(event.attributes) if event.attributes else {}
    return all((
        wanted.since is None or event.time >= wanted.since,
        wanted.until is None or event.time < wanted.until,
        not wanted.levels or event.level in wanted.levels,
        wanted.min_level is None or event.level >= wanted.min_level,
        not wanted.services or event.service in wanted.services,
        not wanted.actors or (event.actor is not None and event.actor.id in wanted.actors),
        not wanted.targets or (event.target is not None and event.target.id in wanted.targets),
        not wanted.outcomes or event.outcome in wanted.outcomes,
        not wanted.trace_ids or event.trace_id in wanted.trace_ids,
        not wanted.actions or any(
            event.action is not None
            and (event.action.startswith(one.text) if one.prefix else event.action == one.text)
            for one in wanted.actions
        ),
        not wanted.texts or any(all(_occurs(event, attributes, word) for word in words) for words in wanted.texts),
        all(_has(attributes, match) for match in wanted.attributes),
    ))  # fmt: skip


def _occurs(event: StoredEvent, attributes: dict[str, Any], word: Word) -> bool:
    texts = [event.message or "", *_scalars(attributes)]
    return any(word.text.lower() in text.lower() for text in texts) != word.negated


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _scalars(inner)
    elif value is not None:
        yield value if isinstance(value, str) else json.dumps(value)


def _has(attributes: dict[str, Any], match: AttributeMatch) -> bool:
    value: Any = attributes
    for key in match.path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value is not None and (value if isinstance(value, str) else json.dumps(value)) in match.values
