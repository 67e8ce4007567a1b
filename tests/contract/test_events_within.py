"""What every adapter of `ports/events` promises about filters within filters: both hold, whatever is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.kit.times import HOUR, MINUTE
from headrace.model.event import LEVELS, StoredEvent
from headrace.model.query import EVERYTHING, ActionMatch, AttributeMatch, EventFilter, Position, Search, Word
from headrace.ports.events import Events
from tests.contract.batches import NOON, batch_of, event
from tests.contract.stores import Opener
from tests.support.matching import matches

ROWS = [
    event(
        message=f"{one} {n}",
        time=NOON + n * MINUTE,
        level=LEVELS[n % 6],
        service=f"s-{one}" if n % 3 else None,
        action=f"{one}.{'paid' if n % 2 else 'sent'}",
        actor_id=f"u-{one}",
        target_id=f"t-{n % 2}",
        outcome="success" if n % 2 else None,
        trace_id=f"trace-{one}",
        attributes=f'{{"tenant": "{one}", "deep": {{"n": {n % 4}}}}}' if n % 5 else None,
    )
    for n, one in enumerate(["acme", "zeta"] * 12)
]

KINDS = {
    "everything": EVERYTHING,
    "since": EventFilter(since=NOON + 6 * MINUTE),
    "until": EventFilter(until=NOON + 15 * MINUTE),
    "levels": EventFilter(levels=(1, 2, 4)),
    "min_level": EventFilter(min_level=3),
    "services": EventFilter(services=("s-acme", "none")),
    "actions": EventFilter(actions=(ActionMatch("acme.", prefix=True), ActionMatch("zeta.paid"))),
    "actors": EventFilter(actors=("u-acme",)),
    "targets": EventFilter(targets=("t-1",)),
    "outcomes": EventFilter(outcomes=("success",)),
    "trace_ids": EventFilter(trace_ids=("trace-zeta",)),
    "texts": EventFilter(texts=((Word("acme"), Word("4", negated=True)), (Word("zeta 1"),))),
    "attributes": EventFilter(attributes=(AttributeMatch("tenant", ("acme",)), AttributeMatch("deep.n", ("1", "2")))),
}


@pytest.fixture
async def events(opener: Opener, tmp_path: Path) -> AsyncIterator[Events]:
    store = await opener(tmp_path, MemoryClock(NOON))
    await store.write(batch_of(*ROWS, event(bucket=2, message="of another bucket")))
    yield store
    await store.close()


async def everything(events: Events) -> list[StoredEvent]:
    return list(await events.search(Search(1, order="asc", limit=1_000)))


def test_every_kind_of_filter_is_tried() -> None:
    assert {field.name for field in fields(EventFilter)} - {"within", "read_after"} == KINDS.keys() - {"everything"}


@pytest.mark.parametrize("inner", KINDS.values(), ids=KINDS)
async def test_the_inner_filter_holds_in_every_read_whatever_the_outer_one_is(
    events: Events, inner: EventFilter
) -> None:
    every = await everything(events)
    for outer in KINDS.values():
        wanted = replace(outer, within=inner)
        expected = [one for one in every if matches(one, wanted)]
        assert list(await events.search(Search(1, wanted, order="asc", limit=1_000))) == expected
        assert list(await events.search(Search(1, wanted, limit=1_000))) == expected[::-1]
        assert await events.after(1, wanted, 0, 1_000) == (expected, await events.last_seq(1))
        assert [one for one in every if await events.get(1, one.id, wanted)] == expected
        times = (expected[0].time, expected[-1].time) if expected else None
        assert await events.time_range(1, wanted) == times
        bars = await events.histogram(1, wanted, HOUR, "level")
        assert sum(bar.count for bar in bars) == len(expected)
        levels = Counter(LEVELS[one.level] for one in expected)
        assert sum((Counter(dict(bar.by)) for bar in bars), Counter()) == levels
        for asked in (("level",), ("level", "actor")):  # alone and together: two ways to count
            facets = await events.facets(1, wanted, asked, 10)
            assert {one.value: one.count for one in facets["level"]} == levels


async def test_filters_that_contradict_each_other_find_nothing(events: Events) -> None:
    for one, other in [
        (EventFilter(actors=("u-acme",)), EventFilter(actors=("u-zeta",))),
        (EventFilter(attributes=(AttributeMatch("tenant", ("acme",)),)), EventFilter(actors=("u-zeta",))),
        (EventFilter(until=NOON), EventFilter(since=NOON + 1)),
        (EventFilter(min_level=4), EventFilter(levels=(0, 1))),
        (EventFilter(texts=((Word("acme"),),)), EventFilter(texts=((Word("acme", negated=True),),))),
    ]:
        for wanted in (replace(one, within=other), replace(other, within=one)):
            assert await events.search(Search(1, wanted)) == []
            assert await events.search(Search(1, wanted, order="asc", offset=5)) == []
            assert await events.after(1, wanted, 0, 10) == ([], await events.last_seq(1))
            assert await events.time_range(1, wanted) is None
            assert await events.histogram(1, wanted, HOUR, None) == []
            assert await events.facets(1, wanted, ("level", "actor"), 5) == {"level": [], "actor": []}


async def test_any_number_of_filters_may_lie_within_each_other(events: Events) -> None:
    wanted = EVERYTHING
    for kind in ("since", "until", "actors", "outcomes", "targets"):
        wanted = replace(KINDS[kind], within=wanted)
    expected = [one for one in await everything(events) if matches(one, wanted)]
    assert expected == []  # no outcome is told of acme's
    wanted = replace(wanted, outcomes=(), targets=(), within=replace(KINDS["texts"], within=wanted.within.within))  # type: ignore[union-attr]
    expected = [one for one in await everything(events) if matches(one, wanted)]
    assert len(expected) == 4
    assert list(await events.search(Search(1, wanted, order="asc"))) == expected


@pytest.mark.parametrize(("order", "limit"), [("asc", 1), ("asc", 3), ("desc", 1), ("desc", 3)])
async def test_a_page_goes_on_inside_wherever_its_position_came_from(events: Events, order: str, limit: int) -> None:
    every = await everything(events)
    wanted = EventFilter(within=EventFilter(attributes=(AttributeMatch("tenant", ("zeta",)),)))
    inside = [one for one in every if matches(one, wanted)]
    for place in every:  # of an event inside or outside
        search = Search(1, wanted, order=order, limit=limit, after=Position(place.time, place.id))  # type: ignore[arg-type]
        behind = [one for one in inside if (one.time > place.time) == (order == "asc") and one.id != place.id]
        assert list(await events.search(search)) == (behind if order == "asc" else behind[::-1])[:limit]


@pytest.mark.parametrize("place", range(0, 24, 6))
async def test_positions_move_on_over_what_lies_outside(events: Events, place: int) -> None:
    every = await everything(events)
    wanted = EventFilter(min_level=1, within=KINDS["actors"])
    seq = every[place].seq
    found, reached = await events.after(1, wanted, seq, 2)
    assert list(found) == [one for one in every if one.seq > seq and matches(one, wanted)][:2]
    assert reached >= max([seq, *(one.seq for one in found)])
