"""What an index on jsonb cannot tell by itself: how numbers are written, what is equal and not only contained."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.postgres import reads
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.model.query import ActionMatch, AttributeMatch, EventFilter, Search
from tests.contract.batches import NOON, batch_of, event

ODD = '"odd": 1e99999, '  # no numeric of the server holds it, so the row has no jsonb

STORED = {
    "integer": '{"a": 12}',
    "text": '{"a": "12"}',
    "fraction": '{"a": 12.0}',
    "exponent": '{"a": 1.2e1}',
    "list": '{"a": [1, {"b": 2}]}',
    "longer list": '{"a": [1, {"b": 2}, 3]}',
    "object": '{"a": {"b": "x", "c": [1]}}',
    "null": '{"a": null}',
    "the word": '{"a": "null"}',
    "true": '{"a": true}',
    "place": '{"a": {"0": "x"}}',
    "places": '{"a": ["x", {"b": "y"}, "z", 7]}',
}


@pytest.fixture
async def events(postgres_url: str) -> AsyncIterator[PostgresEvents]:
    store = await PostgresEvents.open(PostgresOptions(postgres_url), MemoryClock(NOON))
    yield store
    await store.close()


async def found(events: PostgresEvents, path: str, *values: str) -> set[str | None]:
    wanted = EventFilter(attributes=(AttributeMatch(path, values),))
    return {one.message for one in await events.search(Search(1, wanted))}


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("a", "12", {"integer", "text"}),
        ("a", "12.0", {"fraction", "exponent"}),
        ("a", "12.00", {"fraction", "exponent"}),
        ("a", "120e-1", {"fraction", "exponent"}),
        ("a", "012", set()),
        ("a", '[1,{"b":2}]', {"list"}),
        ("a", '[{"b":2}]', set()),
        ("a", '{"b":"x"}', set()),
        ("a", '{"b":"x","c":[1]}', {"object"}),
        ("a", '"12"', {"text"}),
        ("a", "null", {"null", "the word"}),
        ("a", "true", {"true"}),
        ("a.b", "x", {"object"}),
        ("a.0", "x", {"place", "places"}),
        ("a.1.b", "y", {"places"}),
        ("a.2", "x", set()),
        ("a.2", "z", {"places"}),
        ("a.3", "7", {"places"}),
        ("a.-1", "7", set()),
    ],
)
async def test_a_value_is_found_as_it_is_written(
    events: PostgresEvents, path: str, value: str, names: set[str]
) -> None:
    await events.write(batch_of(*(event(message=name, attributes=text) for name, text in STORED.items())))
    assert await found(events, path, value) == names
    assert await found(events, path, value, "no such value") == names


@pytest.mark.parametrize(
    ("path", "value", "names"),
    [
        ("a", "12", {"integer", "text"}),
        ("a", "12.0", {"fraction"}),
        ("a", '"12"', {"text"}),
        ("a", "null", {"null", "the word"}),
        ("a", "true", {"true"}),
        ("a.b", "x", {"object"}),
        ("odd", "1e99999", set(STORED)),
    ],
)
async def test_what_has_no_jsonb_is_found_as_well(
    events: PostgresEvents, path: str, value: str, names: set[str]
) -> None:
    rows = [event(message=name, attributes="{" + ODD + text[1:]) for name, text in STORED.items()]
    await events.write(batch_of(*rows))
    assert await found(events, path, value) == names


@pytest.mark.parametrize(
    "value",
    [
        "{", '"', '{"a":', "[1,]", "NaN", "[NaN]", "Infinity", "-", "1e", "1e99999", "-1e-99999", "9" * 5_000,
        "[1e99999]", "[" + "9" * 5_000 + "]", "[" * 5_000, "[" * 5_000 + "]" * 5_000,
        '"\\ud800"', '["\\u0000"]', '{"\\udc00": 1}',
        '"\\x"', '"a\nb"', "%s", "%", "\\", "'", "$1", "\x1f", "'; DROP TABLE events; --",
    ],
    ids=repr,
)  # fmt: skip
async def test_no_value_makes_a_query_fail(events: PostgresEvents, value: str) -> None:
    await events.write(batch_of(event(attributes='{"a": 1}'), event(attributes="{" + ODD + '"a": 1}')))
    for path in ("a", "a.b", "a.0.1.2.3.4.5", ".", "{", '"', "%s", value[:100]):
        assert await found(events, path, value) == set()
        assert await found(events, path, "no such value", value) == set()


async def test_a_bitmap_without_room_for_rows_meets_rows_that_have_no_jsonb(
    events: PostgresEvents, postgres_url: str
) -> None:
    rows = [
        event(attributes="{" + (ODD if n % 50 == 0 else "") + f'"a": "{n % 2}", "fill": "{"x" * 300}"}}')
        for n in range(20_000)
    ]
    await events.write(batch_of(*rows))
    wanted = EventFilter(attributes=(AttributeMatch("a", ("1",)),))
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        for setting in ("work_mem = '64kB'", "enable_seqscan = off", "enable_indexscan = off"):
            await connection.execute(f"SET {setting}".encode())
        assert len(await reads.search(connection, Search(1, wanted, limit=20_000))) == 10_000


async def test_an_action_too_long_for_the_index_is_found_all_the_same(events: PostgresEvents) -> None:
    long = "order." + "é" * 2_000
    fields = {"actor_id": long, "trace_id": long}
    await events.write(batch_of(event(message="long", action=long, **fields), event(message="short", action="order.x")))

    async def names(**parts: object) -> set[str | None]:
        return {one.message for one in await events.search(Search(1, EventFilter(**parts)))}  # type: ignore[arg-type]

    assert await names(actions=(ActionMatch("order.", prefix=True),)) == {"long", "short"}
    assert await names(actions=(ActionMatch(long[:900], prefix=True),)) == {"long"}
    assert await names(actions=(ActionMatch(long), ActionMatch("order.x"))) == {"long", "short"}
    assert await names(actions=(ActionMatch(long + "é", prefix=True),)) == set()
    assert await names(actors=(long, "u-1")) == {"long"}
    assert await names(trace_ids=(long,)) == {"long"}
