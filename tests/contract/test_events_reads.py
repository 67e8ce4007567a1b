"""What every adapter of `ports/events` promises about finding: filters, pages, groups, positions."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.kit.times import DAY, HOUR, MINUTE, SECOND
from headrace.model.query import (
    EVERYTHING,
    ActionMatch,
    AttributeMatch,
    EventFilter,
    FacetValue,
    HistogramBar,
    Position,
    Search,
    Word,
)
from headrace.ports.events import Events
from tests.contract.batches import NOON, batch_of, event
from tests.contract.stores import Opener


@pytest.fixture
async def events(opener: Opener, tmp_path: Path) -> AsyncIterator[Events]:
    store = await opener(tmp_path, MemoryClock(NOON))
    yield store
    await store.close()


async def found(events: Events, wanted: EventFilter, bucket: int = 1) -> list[str | None]:
    """The messages of what matches, in order of time."""
    page = await events.search(Search(bucket, wanted, order="asc", limit=1000))
    return [one.message for one in page]


async def matches(events: Events, wanted: EventFilter) -> set[str | None]:
    return set(await found(events, wanted))


# Filters on fields

SAMPLES: dict[str, dict[str, Any]] = {
    "a": {"level": "debug", "service": "billing", "action": "invoice.paid", "actor_id": "u-1", "outcome": "success"},
    "b": {"level": "error", "service": "billing", "action": "invoice.%", "target_id": "i-1", "trace_id": "t-1"},
    "c": {"level": "critical", "service": "mail", "action": "invoice_x", "actor_id": "u-2", "outcome": "failure"},
    "d": {"time": NOON + HOUR, "actor_id": "U-1"},
}


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (EVERYTHING, "abcd"),
        (EventFilter(since=NOON + 1), "d"),
        (EventFilter(since=NOON + HOUR), "d"),
        (EventFilter(until=NOON + HOUR), "abc"),
        (EventFilter(since=-(10**18), until=10**18), "abcd"),
        (EventFilter(since=NOON + HOUR, until=NOON), ""),
        (EventFilter(levels=(1, 5)), "ac"),
        (EventFilter(min_level=4), "bc"),
        (EventFilter(levels=(2, 4), min_level=3), "b"),
        (EventFilter(services=("billing",)), "ab"),
        (EventFilter(services=("billing", "mail")), "abc"),
        (EventFilter(actions=(ActionMatch("invoice.paid"), ActionMatch("invoice_x"))), "ac"),
        (EventFilter(actions=(ActionMatch("invoice.", prefix=True),)), "ab"),
        (EventFilter(actions=(ActionMatch("invoice.%"),)), "b"),
        (EventFilter(actions=(ActionMatch("invoice.%", prefix=True),)), "b"),
        (EventFilter(actors=("u-1",)), "a"),
        (EventFilter(targets=("i-1",)), "b"),
        (EventFilter(outcomes=("failure", "unknown")), "c"),
        (EventFilter(trace_ids=("t-1",)), "b"),
        (EventFilter(services=("billing",), actors=("u-1",)), "a"),
        (EventFilter(services=("billing",), actors=("u-2",)), ""),
        (EventFilter(services=("' OR 1=1 --",)), ""),
        (EventFilter(actors=tuple(f"u-{n}" for n in range(2, 300))), "c"),
    ],
)
async def test_a_filter_finds_what_it_says(events: Events, wanted: EventFilter, names: str) -> None:
    await events.write(batch_of(*(event(message=name, **fields) for name, fields in SAMPLES.items())))
    await events.write(batch_of(event(message="elsewhere", bucket=2, service="billing")))
    assert await matches(events, wanted) == set(names)


# The words of q

TEXTS: dict[str, dict[str, Any]] = {
    "plain": {"message": "Payment of 100% failed_at once"},
    "quoted": {"attributes": {"note": 'say "hi" to\nc:\\new/path'}},
    "keyed": {"attributes": {"payment": {"FAILED": [{"deep": "Zoë Ångström"}, 12.50, True, None]}}},
    "emoji": {"attributes": {"mood": "so 😀 glad", "k": "Kelvin K"}},
    "empty": {"action": "x"},
    "both": {"message": "nothing", "attributes": {"a": "payment"}},
}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("payment", {"plain", "both"}),
        ("PAYMENT", {"plain", "both"}),
        ("100%", {"plain"}),
        ("1%", set()),
        ("failed_at", {"plain"}),
        ("failedXat", set()),
        ("%", {"plain"}),
        ("_", {"plain"}),
        ('"hi"', {"quoted"}),
        ('SAY "hi"', {"quoted"}),
        ("\n", {"quoted"}),
        ("c:\\new", {"quoted"}),
        ("\\", {"quoted"}),
        ("w/path", {"quoted"}),
        ("new/P", {"quoted"}),
        ("deep", set()),
        ("ZOË", {"keyed"}),
        ("ångstr", {"keyed"}),
        ("u00", set()),
        ("12.5", {"keyed"}),
        ("tru", {"keyed"}),
        ("null", set()),
        ("😀", {"emoji"}),
        ("kelvin k", {"emoji"}),
        ('","', set()),
        ("}", set()),
        ("' OR 1=1 --", set()),
        (".*", set()),
        ("x" * 5_000, set()),
    ],
)
@pytest.mark.parametrize("ascii_only", [False, True], ids=["raw", "escaped"])
async def test_a_word_is_found_in_messages_and_values_in_any_case(
    events: Events, text: str, names: set[str], ascii_only: bool
) -> None:
    await events.write(batch_of(*(_told(name, fields, ascii_only) for name, fields in TEXTS.items())))
    assert await _services(events, EventFilter(texts=((Word(text),),))) == names
    assert await _services(events, EventFilter(texts=((Word(text, negated=True),),))) == TEXTS.keys() - names


def _told(name: str, fields: dict[str, Any], ascii_only: bool) -> dict[str, Any]:
    attributes = json.dumps(fields["attributes"], ensure_ascii=ascii_only) if "attributes" in fields else None
    if attributes and ascii_only:
        attributes = attributes.replace("/", "\\/")
    return event(service=name, **{**fields, "attributes": attributes})


async def _services(events: Events, wanted: EventFilter) -> set[str | None]:
    return {one.service for one in await events.search(Search(1, wanted, limit=1000))}


async def test_all_words_of_one_text_and_any_of_several_texts(events: Events) -> None:
    await events.write(batch_of(*(event(message=text) for text in ("red car", "red bus", "blue car"))))

    def wanted(*texts: str) -> EventFilter:
        return EventFilter(
            texts=tuple(tuple(Word(w.removeprefix("-"), w.startswith("-")) for w in text.split()) for text in texts)
        )

    assert await matches(events, wanted("red car")) == {"red car"}
    assert await matches(events, wanted("red -car")) == {"red bus"}
    assert await matches(events, wanted("bus", "blue")) == {"red bus", "blue car"}
    assert await matches(events, wanted("-red -blue")) == set()


@pytest.mark.parametrize("seed", range(4))
async def test_words_are_found_as_a_plain_program_would_find_them(events: Events, seed: int) -> None:
    rng = random.Random(seed)
    documents = [_json(rng, 3) for _ in range(150)]
    rows = [
        event(service=str(n), attributes=json.dumps(one, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))))
        for n, one in enumerate(documents)
    ]
    await events.write(batch_of(*rows))
    for _ in range(60):
        text = _text(rng, rng.choice((1, 1, 2, 3)))
        expected = {str(n) for n, one in enumerate(documents) if any(text.lower() in v.lower() for v in _values(one))}
        assert await _services(events, EventFilter(texts=((Word(text),),))) == expected, text


_ALPHABET = 'aAbé É"\\/\n\t:,{}[]1.0u5eE-😀\x1fß'


def _text(rng: random.Random, size: int) -> str:
    return "".join(rng.choice(_ALPHABET) for _ in range(size))


def _json(rng: random.Random, depth: int) -> dict[str, Any]:
    def value(left: int) -> Any:
        kind = rng.randrange(8 if left else 5)
        if kind < 3:
            return _text(rng, rng.randrange(6))
        if kind < 5:
            return rng.choice((None, True, False, 0, -15, 1.5, 105))
        if kind == 5:
            return [value(left - 1) for _ in range(rng.randrange(3))]
        return {_text(rng, rng.randrange(4)): value(left - 1) for _ in range(rng.randrange(3))}

    return {_text(rng, 2): value(depth) for _ in range(3)}


def _values(one: Any) -> Iterator[str]:
    if isinstance(one, dict | list):
        for inner in one.values() if isinstance(one, dict) else one:
            yield from _values(inner)
    elif one is not None:
        yield one if isinstance(one, str) else json.dumps(one)


# Attributes by path


@pytest.mark.parametrize(
    ("attributes", "path", "value"),
    [
        ('{"a": "v"}', "a", "v"),
        ('{"a": {"b": "v"}}', "a.b", "v"),
        ('{"a.b": "v"}', "a.b", "v"),
        ('{"a.b": {"c": "v"}}', "a.b.c", "v"),
        ('{"a": {"b.c": "v"}}', "a.b.c", "v"),
        ('{"a": {"b.c.d.e.f.g": "v"}}', "a.b.c.d.e.f.g", "v"),
        ('{"a": 12}', "a", "12"),
        ('{"a": "12"}', "a", "12"),
        ('{"a": 129.00}', "a", "129.00"),
        ('{"a": 1e3}', "a", "1e3"),
        ('{"a": ' + "7" * 5_000 + "}", "a", "7" * 5_000),
        ('{"a": true}', "a", "true"),
        ('{"a": null}', "a", "null"),
        ('{"a": "x"}', "a", '"x"'),
        ('{"a": [1, {"b": 2}]}', "a", '[1,{"b":2}]'),
        ('{"a": "caf\\u00e9 \\/ \\"1\\""}', "a", 'café / "1"'),
        ('{"a/b~c": "v"}', "a/b~c", "v"),
        ('{"*": "v"}', "*", "v"),
        ('{"$": "v"}', "$", "v"),
        ('{"": "v"}', "", "v"),
        ('{"a b\'--": "%_"}', "a b'--", "%_"),
    ],
)
async def test_an_attribute_is_found_by_its_path_and_value(
    events: Events, attributes: str, path: str, value: str
) -> None:
    others = [event(message="no", attributes=text) for text in ('{"z": "v"}', '{"a": "\\ud800"}', "{}", None)]
    await events.write(batch_of(event(message="yes", attributes=attributes), *others))
    assert await found(events, EventFilter(attributes=(AttributeMatch(path, (value,)),))) == ["yes"]
    assert await found(events, EventFilter(attributes=(AttributeMatch(path, ("other", value)),))) == ["yes"]
    assert await found(events, EventFilter(attributes=(AttributeMatch(path, (value + "x",)),))) == []
    assert await found(events, EventFilter(attributes=(AttributeMatch("no." + path, (value,)),))) == []


async def test_every_attribute_asked_for_must_match(events: Events) -> None:
    rows = [event(message="1", attributes='{"a":1,"b":2}'), event(message="2", attributes='{"a":1}')]
    await events.write(batch_of(*rows))
    wanted = EventFilter(attributes=(AttributeMatch("a", ("1",)), AttributeMatch("b", ("2", "3"))))
    assert await found(events, wanted) == ["1"]


# Pages


def _spread(count: int) -> list[dict[str, Any]]:
    """Events in an order of storing that is not that of their times; every third shares its time with another."""
    rng = random.Random(count)
    rows = [event(message=str(n), time=NOON + n // 3 * SECOND, service=f"s{n % 7}") for n in range(count)]
    rng.shuffle(rows)
    return rows


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("wanted", [EVERYTHING, EventFilter(services=("s3", "s5"))], ids=["all", "filtered"])
async def test_pages_follow_each_other_without_a_gap_or_a_double(
    events: Events, order: Any, wanted: EventFilter
) -> None:
    rows = _spread(1_000)
    for start in range(0, 1_000, 250):
        await events.write(batch_of(*rows[start : start + 250]))
    expected = await events.search(Search(1, wanted, order=order, limit=2_000))
    keys = [(one.time, one.id) for one in expected]
    assert keys == sorted(keys, reverse=order == "desc")
    assert len(keys) == (1_000 if wanted == EVERYTHING else 286)
    paged: list[Any] = []
    search = Search(1, wanted, order=order, limit=37)
    while page := await events.search(search):
        assert len(page) <= 37
        paged += page
        assert paged == list(expected[: len(paged)])
        search = replace(search, after=Position(page[-1].time, page[-1].id))
    assert len(paged) == len(expected)
    for offset in (0, 1, 100, 280, 999, 2_000):
        assert await events.search(replace(search, after=None, offset=offset)) == expected[offset : offset + 37]


async def test_a_page_within_a_time_begins_and_ends_there(events: Events) -> None:
    await events.write(batch_of(*_spread(300)))
    wanted = EventFilter(since=NOON + 10 * SECOND, until=NOON + 20 * SECOND)
    page = await events.search(Search(1, wanted, limit=1000))
    assert {one.time for one in page} == {NOON + n * SECOND for n in range(10, 20)}
    asc = await events.search(Search(1, wanted, order="asc", limit=2, after=Position(page[-1].time, page[-1].id)))
    assert asc == list(page[-2:-4:-1])


async def test_the_newest_are_found_however_the_times_are_spread(events: Events) -> None:
    times = [0, 1, NOON - 400 * DAY, *(NOON + n for n in range(2_000)), NOON + 5_000 * DAY]
    await events.write(batch_of(*(event(message=str(time), time=time) for time in times)))
    newest = await events.latest(1, 5)
    assert [one.time for one in newest] == sorted(times, reverse=True)[:5]
    assert await events.latest(2, 5) == []
    oldest = await events.search(Search(1, order="asc", limit=4))
    assert [one.time for one in oldest] == sorted(times)[:4]
    assert len(await events.search(Search(1, limit=5_000))) == len(times)


async def test_ids_of_one_time_are_ordered_as_unsigned_numbers(events: Events) -> None:
    ids = [1, 1 << 63, 1 << 64, (1 << 64) + 1, (1 << 127) + 5, (1 << 128) - 1]
    await events.write(batch_of(*(event(message="x", id=one) for one in ids)))
    assert [one.id for one in await events.search(Search(1, order="asc"))] == ids
    rest = await events.search(Search(1, order="asc", after=Position(NOON, 1 << 64)))
    assert [one.id for one in rest] == ids[3:]


async def test_an_event_is_found_by_its_id_in_its_bucket_only(events: Events) -> None:
    await events.write(batch_of(event(message="x", id=77)))
    stored = await events.get(1, 77)
    assert stored is not None
    assert stored.message == "x"
    assert (await events.get(2, 77), await events.get(1, 78)) == (None, None)


# Groups


async def test_a_histogram_counts_by_interval_and_group(events: Events) -> None:
    rows = [(0, "info"), (30, "error"), (59, "info"), (60, "info"), (600, "debug")]
    await events.write(batch_of(*(event(message="x", time=NOON + s * SECOND, level=level) for s, level in rows)))
    bars = await events.histogram(1, EVERYTHING, MINUTE, "level")
    assert [(bar.time, bar.count, dict(bar.by)) for bar in bars] == [
        (NOON, 3, {"info": 2, "error": 1}), (NOON + MINUTE, 1, {"info": 1}), (NOON + 10 * MINUTE, 1, {"debug": 1}),
    ]  # fmt: skip
    assert list(await events.histogram(1, EventFilter(since=NOON + 30 * SECOND), HOUR, None)) == [
        HistogramBar(NOON, 4)
    ]
    assert list(await events.histogram(2, EVERYTHING, MINUTE, None)) == []


async def test_what_has_no_value_counts_in_the_bar_but_in_no_group(events: Events) -> None:
    await events.write(batch_of(event(message="x", service="a"), event(message="y")))
    assert list(await events.histogram(1, EVERYTHING, HOUR, "service")) == [HistogramBar(NOON, 2, (("a", 1),))]


@pytest.mark.parametrize("wanted", [EVERYTHING, EventFilter(texts=((Word("x"),),))], ids=["all", "filtered"])
async def test_facets_are_the_most_frequent_values(events: Events, wanted: EventFilter) -> None:
    rows = [("info", "a", "u1"), ("info", "b", "u1"), ("error", "b", None), ("info", None, "u2")]
    await events.write(
        batch_of(*(event(message="x", level=level, service=s, actor_id=u, target_type="t") for level, s, u in rows))
    )
    fields = ("level", "service", "actor", "target", "target_type", "trace_id", "outcome", "action", "actor_type")
    facets = await events.facets(1, wanted, fields, 2)
    assert facets["level"] == [FacetValue("info", 3), FacetValue("error", 1)]
    assert facets["service"] == [FacetValue("b", 2), FacetValue("a", 1)]
    assert facets["actor"] == [FacetValue("u1", 2), FacetValue("u2", 1)]
    assert facets["target_type"] == [FacetValue("t", 4)]
    assert all(facets[field] == [] for field in ("target", "trace_id", "outcome", "action", "actor_type"))
    assert (await events.facets(1, wanted, ("service",), 1)) == {"service": [FacetValue("b", 2)]}


async def test_the_time_range_is_that_of_what_matches(events: Events) -> None:
    await events.write(
        batch_of(event(message="a", time=5), event(message="b", time=NOON), event(message="c", time=9, service="s"))
    )
    assert await events.time_range(1, EVERYTHING) == (5, NOON)
    assert await events.time_range(1, EventFilter(services=("s",))) == (9, 9)
    assert await events.time_range(1, EventFilter(services=("none",))) is None


# Positions


async def test_after_goes_on_where_it_was_left(events: Events) -> None:
    for n in range(0, 100, 5):
        await events.write(batch_of(*(event(message=str(n + i), time=NOON - n) for i in range(5)), event(bucket=2)))
    position, seen = 0, list[str | None]()
    while True:
        page, position = await events.after(1, EVERYTHING, position, 7)
        if not page:
            break
        assert len(page) <= 7
        assert position >= page[-1].seq
        seen += [one.message for one in page]
    assert seen == [str(n) for n in range(100)]
    assert position == await events.last_seq(1)


async def test_after_moves_on_where_nothing_matches(events: Events) -> None:
    await events.write(batch_of(*(event(message="x") for _ in range(3_000))))
    nothing = EventFilter(services=("none",))
    assert await events.after(1, nothing, 0, 10) == ([], await events.last_seq(1))
    assert await events.after(1, EVERYTHING, await events.last_seq(1), 10) == ([], await events.last_seq(1))


async def test_after_applies_the_filter(events: Events) -> None:
    await events.write(batch_of(event(message="a", service="s"), event(message="b"), event(message="c", service="s")))
    page, position = await events.after(1, EventFilter(services=("s",), since=NOON), 0, 1)
    assert [one.message for one in page] == ["a"]
    page, _ = await events.after(1, EventFilter(services=("s",), since=NOON), position, 5)
    assert [one.message for one in page] == ["c"]


async def test_reads_at_once_each_get_their_own_answer(events: Events) -> None:
    await events.write(batch_of(*(event(message=str(n), service=f"s{n}") for n in range(20))))
    answers = await asyncio.gather(*(found(events, EventFilter(services=(f"s{n}",))) for n in range(20)))
    assert answers == [[str(n)] for n in range(20)]
