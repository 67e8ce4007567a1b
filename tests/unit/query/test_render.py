"""The JSON of a stored event."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kit.times import format_time
from headrace.model.event import Party, StoredEvent
from headrace.query.render import event_json, time_text
from tests.support.events import stored_event

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
MAYBE = st.none() | TEXT
PARTY = st.none() | st.builds(Party, TEXT, MAYBE, MAYBE)
TIME = st.integers(0, 9_214_646_399_999_999)
EVENT = st.builds(
    StoredEvent, st.just(1), st.integers(0, (1 << 128) - 1), TIME, TIME, st.integers(0, 5), MAYBE, MAYBE, PARTY, PARTY,
    MAYBE, MAYBE, st.none() | st.just('{"a": [1, "b"]}'), MAYBE, MAYBE,
)  # fmt: skip


def test_it_is_what_the_contract_shows_in_that_order() -> None:
    event = StoredEvent(
        9, 0x01970123_4567_7ABC_8DEF_0123456789AB, 1_763_640_000_123_000, 1_763_640_001_000_000, 2, "billing-api",
        "invoice.paid", Party("user-1842", "user", "Ada"), Party("inv-99311", "invoice"), "success",
        "Invoice 99311 paid", '{"amount": "129.00",  "n": 1.50}', "4bf92f35", "00f067aa",
    )  # fmt: skip
    assert event_json(event, "default").decode() == (
        '{"id":"01970123-4567-7abc-8def-0123456789ab","time":"2025-11-20T12:00:00.123000Z","level":"info",'
        '"service":"billing-api","action":"invoice.paid","actor":{"id":"user-1842","type":"user","name":"Ada"},'
        '"target":{"id":"inv-99311","type":"invoice"},"outcome":"success","message":"Invoice 99311 paid",'
        '"attributes":{"amount": "129.00",  "n": 1.50},"trace_id":"4bf92f35","span_id":"00f067aa",'
        '"bucket":"default","received_at":"2025-11-20T12:00:01.000000Z"}'
    )


def test_absent_fields_are_left_out() -> None:
    assert list(json.loads(event_json(stored_event(1), "b"))) == [
        "id", "time", "level", "message", "bucket", "received_at",
    ]  # fmt: skip


def test_attributes_are_not_touched() -> None:
    attributes = '{"b":1,"a":' + "9" * 5_000 + ',"b":1e400,"s":"\\u00e9\\/"}'
    assert f'"attributes":{attributes},'.encode() in event_json(stored_event(1, attributes=attributes), "b")


@pytest.mark.parametrize("us", [0, 1, 999_999, 1_000_000, 951_782_400_000_000, 9_214_646_399_999_999])
def test_times_have_microseconds_and_z(us: int) -> None:
    assert time_text(us) == format_time(us)


@given(TIME)
def test_any_time_is_written_as_everywhere_else(us: int) -> None:
    assert time_text(us) == format_time(us)


@given(EVENT)
def test_every_field_can_be_read_back(event: StoredEvent) -> None:
    read = json.loads(event_json(event, "b"))
    for name in ("service", "action", "outcome", "message", "trace_id", "span_id"):
        assert read.get(name) == getattr(event, name)
    for name in ("actor", "target"):
        party = getattr(event, name)
        given = {key: value for key in ("id", "type", "name") if (value := getattr(party, key, None)) is not None}
        assert read.get(name) == (given if party else None)
    assert int(read["id"].replace("-", ""), 16) == event.id
    assert read.get("attributes") == (event.attributes and json.loads(event.attributes))
