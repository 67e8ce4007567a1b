"""The invented day: always the same, always valid, and varied."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from headrace.cli.traffic import generate
from headrace.ingest.wire import Span, WireEvent, flaw
from headrace.kit.times import from_datetime

_START = datetime(2026, 11, 19, tzinfo=UTC)


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return list(generate(30_000, 7, from_datetime(_START)))


@pytest.fixture(scope="module")
def events(lines: list[bytes]) -> list[WireEvent]:
    return msgspec.json.Decoder(WireEvent).decode_lines(b"".join(lines))


def test_the_same_seed_gives_the_same_bytes(lines: list[bytes]) -> None:
    assert list(generate(30_000, 7, from_datetime(_START))) == lines
    assert list(generate(100, 8, from_datetime(_START))) != lines[:100]


def test_every_event_is_one_that_the_server_takes(lines: list[bytes], events: list[WireEvent]) -> None:
    assert all(line.endswith(b"}\n") and line.count(b"\n") == 1 for line in lines)
    assert [flaw(event, Span(None)) for event in events if flaw(event, Span(None))] == []


def test_it_is_as_large_as_real_events(lines: list[bytes]) -> None:
    assert 300 <= sum(map(len, lines)) / len(lines) <= 400


def test_it_is_one_day_with_stragglers(events: list[WireEvent]) -> None:
    times = [event.time for event in events]
    assert all(isinstance(time, datetime) and _START <= time < _START + timedelta(days=1) for time in times)
    late = [now for before, now in pairwise(times) if now < before]  # type: ignore[operator]
    assert 0.01 < len(late) / len(times) < 0.2


def test_it_has_many_actors_services_levels_and_shapes(events: list[WireEvent]) -> None:
    actors = Counter(event.actor if isinstance(event.actor, str) else event.actor.id for event in events if event.actor)
    assert len(actors) > 5_000
    assert actors.most_common(1)[0][1] > 500
    assert len({event.service for event in events}) == 20
    assert {event.level for event in events} >= {"trace", "debug", "info", "warning", "error"}
    assert {event.outcome for event in events} == {"success", "failure", "unknown"}
    assert 0.1 < sum(event.trace_id is not None for event in events) / len(events) < 0.25
    assert any(not bytes(event.attributes).isascii() for event in events)
    assert any(b'"client":{' in bytes(event.attributes) for event in events)


def test_numbered_events_can_be_told_apart() -> None:
    found = [msgspec.json.decode(line)["attributes"]["n"] for line in generate(500, numbered=True)]
    assert found == list(range(500))
