"""What every adapter of `ports/events` promises about writing, once each, and about deleting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.errors import Poison
from headrace.kit.ids import uuid7
from headrace.kit.times import DAY, HOUR, SECOND, to_datetime
from headrace.model.bucket import BucketStats
from headrace.model.event import EventBatch, Party
from headrace.model.query import EVERYTHING, EventFilter, Search
from headrace.ports.events import Events
from tests.contract.batches import NOON, append, batch_of, event
from tests.contract.stores import Opener

ID = uuid7(NOON) & ~((1 << 20) - 1)
"""The first of 2^20 ids, as an Idempotency-Key gives them."""


@pytest.fixture
def clock() -> MemoryClock:
    return MemoryClock(NOON)


@pytest.fixture
async def events(opener: Opener, tmp_path: Path, clock: MemoryClock) -> AsyncIterator[Events]:
    store = await opener(tmp_path, clock)
    yield store
    await store.close()


async def messages(events: Events, bucket: int = 1) -> list[str | None]:
    """What is stored, in order of storing."""
    found, _ = await events.after(bucket, EVERYTHING, 0, 1000)
    return [one.message for one in found]


def said(text: str, **fields: object) -> dict[str, object]:
    return event(message=text, **fields)


# Writing


async def test_an_event_comes_back_as_it_was_written(events: Events) -> None:
    attributes = '{ "b": 1.50, "a": [123456789012345678901234567890, "é\\u00e9"], "b": null }'
    full = event(
        id=ID, time=NOON + 123_456, received_at=NOON + 5, level="critical", service="billing", action="invoice.paid",
        actor_id="u-1", actor_type="user", actor_name="Ada", target_id="i-9", target_type="invoice", outcome="success",
        message="Paid — ✓\n'\"%_\\", attributes=attributes, trace_id="4bf9", span_id="00f0",
    )  # fmt: skip
    await events.write(batch_of(full))
    stored = await events.get(1, ID)
    assert stored is not None
    assert (stored.id, stored.time, stored.received_at, stored.level) == (ID, NOON + 123_456, NOON + 5, 5)
    assert (stored.service, stored.action, stored.outcome) == ("billing", "invoice.paid", "success")
    assert (stored.actor, stored.target) == (Party("u-1", "user", "Ada"), Party("i-9", "invoice"))
    assert (stored.message, stored.trace_id, stored.span_id) == ("Paid — ✓\n'\"%_\\", "4bf9", "00f0")
    assert stored.attributes == attributes


async def test_what_an_event_lacks_is_none(events: Events) -> None:
    await events.write(batch_of(event(id=ID, action="x")))
    stored = await events.get(1, ID)
    assert stored is not None
    assert (stored.service, stored.actor, stored.target, stored.outcome) == (None, None, None, None)
    assert (stored.message, stored.attributes) == (None, None)


@pytest.mark.parametrize(
    "attributes",
    ['{"n": ' + "9" * 5_000 + "}", '{"a":' + "[" * 50_000 + "]" * 50_000 + "}", '{"a":1,"a":2}', '{"a":1e999}', "{}"],
    ids=["5,000 digits", "50,000 deep", "a key twice", "1e999", "empty"],
)
async def test_odd_json_is_kept_and_hurts_no_query(events: Events, attributes: str) -> None:
    from headrace.model.query import AttributeMatch, Word

    await events.write(batch_of(event(id=ID, attributes=attributes), said("neighbour", attributes='{"a": "needle"}')))
    stored = await events.get(1, ID)
    assert stored is not None
    assert stored.attributes == attributes
    for wanted in (
        EventFilter(texts=((Word("needle"),),)),
        EventFilter(texts=((Word("b"), Word("99999999", negated=True)),)),
        EventFilter(attributes=(AttributeMatch("a", ("needle",)),)),
    ):
        assert [one.message for one in await events.search(Search(1, wanted))] == ["neighbour"]


async def test_an_empty_batch_stores_nothing_but_its_block(events: Events) -> None:
    block = uuid7(NOON)
    batch = EventBatch(blocks=[(block, 1)], block_rows=[0])
    assert (await events.write(batch)).stored == 0
    assert await events.stored_blocks([block], 1) == {block}


async def test_positions_follow_the_order_of_the_batch_and_of_the_writes(events: Events) -> None:
    first = await events.write(batch_of(said("a", time=NOON), said("b", time=NOON - DAY)))
    second = await events.write(batch_of(said("c")))
    assert (first.stored, first.kept, second.first_seq) == (2, None, first.first_seq + 2)
    assert await messages(events) == ["a", "b", "c"]
    assert await events.last_seq(1) == second.first_seq


async def test_a_large_batch_keeps_its_order(events: Events) -> None:
    written = await events.write(batch_of(*(said(str(number)) for number in range(10_000))))
    found, position = await events.after(1, EVERYTHING, 0, 20_000)
    assert [one.message for one in found] == [str(number) for number in range(10_000)]
    assert [one.seq for one in found] == list(range(written.first_seq, position + 1))


async def test_positions_go_on_after_a_restart_even_if_the_newest_events_are_deleted(
    opener: Opener, tmp_path: Path, clock: MemoryClock
) -> None:
    store = await opener(tmp_path, clock)
    await store.write(batch_of(said("old"), said("new", bucket=2)))
    last = await store.last_seq(1)
    await store.delete_bucket(2)
    await store.close()
    store = await opener(tmp_path, clock)
    assert (await store.write(batch_of(said("newer")))).first_seq == last + 1
    await store.close()


# Blocks that come again


async def test_a_redelivered_block_is_stored_once(events: Events) -> None:
    block = uuid7(NOON)
    await events.write(batch_of(said("a"), block=block))
    again = batch_of(said("a"), block=block)
    append(again, said("b"))
    written = await events.write(again)
    assert (written.stored, written.kept) == (1, [1])
    assert await messages(events) == ["a", "b"]


async def test_a_block_twice_in_one_batch_is_stored_once(events: Events) -> None:
    block = uuid7(NOON)
    twice = append(batch_of(said("a"), block=block), said("a"), block=block)
    assert list((await events.write(twice)).kept or ()) == [0]
    assert await messages(events) == ["a"]


async def test_a_block_older_than_others_is_stored_when_it_comes_late(events: Events) -> None:
    await events.write(batch_of(said("new"), block=uuid7(NOON + HOUR)))
    await events.write(batch_of(said("old"), block=uuid7(NOON)))
    assert await messages(events) == ["new", "old"]


async def test_a_block_is_remembered_by_bucket(events: Events) -> None:
    block = uuid7(NOON)
    await events.write(batch_of(said("one"), block=block))
    await events.write(batch_of(said("one"), said("two", bucket=2), block=block))
    assert (await messages(events, 1), await messages(events, 2)) == (["one"], ["two"])


async def test_blocks_are_remembered_over_a_restart(opener: Opener, tmp_path: Path, clock: MemoryClock) -> None:
    block = uuid7(NOON)
    store = await opener(tmp_path, clock)
    await store.write(batch_of(said("a"), block=block))
    await store.close()
    store = await opener(tmp_path, clock)
    assert (await store.write(batch_of(said("a"), block=block))).stored == 0
    assert await store.stored_blocks([block, uuid7(NOON)], 1) == {block}
    await store.close()


async def test_a_forgotten_block_is_not_known(events: Events, clock: MemoryClock) -> None:
    old, new = uuid7(NOON), uuid7(NOON)
    await events.write(batch_of(said("a"), block=old))
    clock.jump(60)
    await events.write(batch_of(said("b"), block=new))
    await events.forget(blocks_before=NOON + SECOND, ids_before=0)
    assert await events.stored_blocks([old, new], 1) == {new}


# Ids that clients chose


async def test_a_chosen_id_is_stored_once_and_the_first_content_wins(events: Events) -> None:
    await events.write(batch_of(said("first", id=ID), chosen=[(0, 1)]))
    again = await events.write(batch_of(said("second", id=ID), said("other", id=ID + 1), chosen=[(0, 1), (1, 1)]))
    assert list(again.kept or ()) == [1]
    assert await messages(events) == ["first", "other"]


async def test_a_chosen_id_twice_in_one_batch_is_stored_once(events: Events) -> None:
    batch = batch_of(said("a", id=ID), said("b", id=ID + 1), said("c", id=ID), chosen=[(0, 1), (1, 1), (2, 1)])
    written = await events.write(batch)
    assert (written.stored, list(written.kept or ())) == (2, [0, 1])
    assert await messages(events) == ["a", "b"]


async def test_the_same_id_in_another_bucket_is_another_id(events: Events) -> None:
    batch = batch_of(said("one", id=ID), said("two", id=ID, bucket=2), chosen=[(0, 1), (1, 1)])
    assert (await events.write(batch)).kept is None
    await events.write(batch_of(said("three", id=ID, bucket=3), chosen=[(0, 1)]))
    assert [await messages(events, bucket) for bucket in (1, 2, 3)] == [["one"], ["two"], ["three"]]


async def test_ids_that_no_client_chose_are_all_kept(events: Events) -> None:
    await events.write(batch_of(said("a", id=ID), said("b", id=ID)))
    assert (await events.write(batch_of(said("c", id=ID)))).kept is None
    assert await messages(events) == ["a", "b", "c"]


async def test_a_repeated_range_is_left_out_as_far_as_it_is_stored(events: Events) -> None:
    def part(start: int, stop: int) -> EventBatch:
        return batch_of(*(said(str(n), id=ID + n) for n in range(start, stop)), chosen=[(0, stop - start)])

    await events.write(part(0, 3))
    assert list((await events.write(part(0, 5))).kept or ()) == [3, 4]
    assert list((await events.write(part(2, 7))).kept or ()) == [3, 4]
    assert (await events.write(part(0, 7))).stored == 0
    assert (await events.write(part(7, 9))).kept is None
    assert await messages(events) == [str(n) for n in range(9)]


async def test_a_single_id_inside_a_stored_range_is_left_out(events: Events) -> None:
    await events.write(batch_of(*(said(str(n), id=ID + n) for n in range(4)), chosen=[(0, 4)]))
    batch = batch_of(said("again", id=ID + 2), said("new", id=ID + 4), chosen=[(0, 1), (1, 1)])
    assert list((await events.write(batch)).kept or ()) == [1]


async def test_a_range_over_a_stored_single_id_leaves_that_one_out(events: Events) -> None:
    await events.write(batch_of(said("single", id=ID + 1), chosen=[(0, 1)]))
    batch = batch_of(*(said(str(n), id=ID + n) for n in range(3)), chosen=[(0, 3)])
    assert list((await events.write(batch)).kept or ()) == [0, 2]


async def test_a_range_and_a_single_id_in_one_batch_are_held_against_each_other(events: Events) -> None:
    batch = batch_of(
        said("0", id=ID), said("1", id=ID + 1), said("again", id=ID + 1), said("2", id=ID), said("3", id=ID + 1),
        said("4", id=ID + 2), chosen=[(0, 2), (2, 1), (3, 3)],
    )  # fmt: skip
    assert list((await events.write(batch)).kept or ()) == [0, 1, 5]


async def test_a_single_id_and_the_range_that_holds_it_in_one_batch_are_stored_once(events: Events) -> None:
    after = batch_of(said("0", id=ID), said("1", id=ID + 1), said("again", id=ID + 1), chosen=[(0, 2), (2, 1)])
    assert list((await events.write(after)).kept or ()) == [0, 1]
    start = ID + (1 << 20)
    rows = [said("1", id=start + 1), said("0", id=start), said("again", id=start + 1)]
    before = batch_of(*rows, chosen=[(0, 1), (1, 2)])
    assert list((await events.write(before)).kept or ()) == [0, 1]


async def test_what_another_bucket_holds_makes_no_duplicate(events: Events) -> None:
    await events.write(batch_of(said("elsewhere", id=ID, bucket=2), chosen=[(0, 1)]))
    batch = batch_of(said("here", id=ID), said("again", id=ID), chosen=[(0, 1), (1, 1)])
    assert list((await events.write(batch)).kept or ()) == [0]


async def test_a_range_over_the_edge_of_its_million_is_found_again(events: Events) -> None:
    start = ID + (1 << 20) - 2
    batch = batch_of(*(said(str(n), id=start + n) for n in range(4)), chosen=[(0, 4)])
    assert (await events.write(batch)).stored == 4
    assert (await events.write(batch_of(said("x", id=start + 3), chosen=[(0, 1)]))).stored == 0
    assert (await events.write(batch_of(said("x", id=start), chosen=[(0, 1)]))).stored == 0


async def test_many_chosen_ids_are_each_stored_once(events: Events) -> None:
    ids = [uuid7(NOON + n * 1000) for n in range(6_000)]
    first = batch_of(*(said("x", id=one) for one in ids[:4_000]), chosen=[(n, 1) for n in range(4_000)])
    second = batch_of(*(said("x", id=one) for one in ids[2_000:]), chosen=[(n, 1) for n in range(4_000)])
    assert (await events.write(first)).kept is None
    assert list((await events.write(second)).kept or ()) == list(range(2_000, 4_000))


async def test_chosen_ids_are_remembered_over_a_restart(opener: Opener, tmp_path: Path, clock: MemoryClock) -> None:
    store = await opener(tmp_path, clock)
    many = [said("x", id=ID + n) for n in range(3)]
    await store.write(batch_of(*many, said("y", id=ID + 9), chosen=[(0, 3), (3, 1)]))
    await store.close()
    store = await opener(tmp_path, clock)
    again = batch_of(*many, said("y", id=ID + 9), said("z", id=ID + 8), chosen=[(0, 3), (3, 1), (4, 1)])
    assert list((await store.write(again)).kept or ()) == [4]
    await store.close()


async def test_a_forgotten_id_may_come_again(events: Events, clock: MemoryClock) -> None:
    await events.write(batch_of(said("a", id=ID), chosen=[(0, 1)]))
    clock.jump(60)
    await events.write(batch_of(said("b", id=ID + 1), chosen=[(0, 1)]))
    await events.forget(blocks_before=0, ids_before=NOON + SECOND)
    batch = batch_of(said("a", id=ID), said("b", id=ID + 1), chosen=[(0, 1), (1, 1)])
    assert list((await events.write(batch)).kept or ()) == [0]


# Data that cannot be stored


@pytest.mark.parametrize(
    "bad",
    [{"attributes": b'{"a":"\xff"}'}, {"message": "\ud800"}, {"bucket": 1 << 40}],
    ids=["bytes that are not UTF-8", "half a surrogate pair", "a bucket beyond all"],
)
async def test_what_cannot_be_stored_is_poison_and_changes_nothing(events: Events, bad: dict[str, object]) -> None:
    block = uuid7(NOON)
    batch = batch_of(said("good", id=ID), event(**{"message": "bad", **bad}), block=block, chosen=[(0, 1)])
    with pytest.raises(Poison):
        await events.write(batch)
    with pytest.raises(Poison):
        await events.check(batch)
    assert (await messages(events), await events.stored_blocks([block], 1)) == ([], frozenset())
    assert (await events.write(batch_of(said("good", id=ID), block=block, chosen=[(0, 1)]))).stored == 1


async def test_a_check_of_sound_data_stores_nothing(events: Events) -> None:
    batch = batch_of(said("a", id=ID), chosen=[(0, 1)])
    await events.check(batch)
    assert (await events.size())[0] == 0
    assert (await events.write(batch)).stored == 1


async def test_writes_and_reads_at_once_all_succeed(events: Events) -> None:
    async def write(number: int) -> None:
        await events.write(batch_of(said(str(number), id=ID + number), chosen=[(0, 1)]))

    await asyncio.gather(*(write(n) for n in range(20)), *(events.search(Search(1)) for _ in range(20)))
    assert sorted(map(str, await messages(events))) == sorted(str(n) for n in range(20))


# Deleting


async def test_what_is_older_is_deleted_and_nothing_else(events: Events) -> None:
    await events.write(batch_of(said("old", time=NOON - 1), said("now"), said("other", bucket=2, time=NOON - 1)))
    assert await events.delete_before(1, NOON) == 1
    assert await events.delete_before(1, NOON) == 0
    assert (await messages(events, 1), await messages(events, 2)) == (["now"], ["other"])


async def test_a_bucket_is_deleted_whole(events: Events) -> None:
    await events.write(batch_of(said("a"), said("b", bucket=2), said("c", bucket=2, time=NOON + DAY)))
    assert await events.delete_bucket(2) == 2
    assert (await messages(events, 1), await messages(events, 2)) == (["a"], [])
    assert await events.delete_bucket(7) == 0


async def test_the_counts_of_a_bucket_follow_what_is_written_and_deleted(events: Events) -> None:
    assert await events.bucket_stats(1) == BucketStats(0, None, None)
    await events.write(batch_of(said("a", time=NOON), said("b", time=NOON + 5), said("c", bucket=2, time=9)))
    assert await events.bucket_stats(1) == BucketStats(2, NOON, NOON + 5)
    await events.write(batch_of(said("d", time=NOON - 5)))
    assert await events.bucket_stats(1) == BucketStats(3, NOON - 5, NOON + 5)
    await events.delete_before(1, NOON + 1)
    assert await events.bucket_stats(1) == BucketStats(1, NOON + 5, NOON + 5)
    await events.delete_bucket(1)
    await events.write(batch_of(said("e", time=NOON)))
    assert await events.bucket_stats(1) == BucketStats(1, NOON, NOON)
    assert await events.bucket_stats(2) == BucketStats(1, 9, 9)


async def test_the_size_counts_events_and_bytes(events: Events) -> None:
    await events.write(batch_of(said("a"), said("b", bucket=2)))
    count, size = await events.size()
    assert count == 2
    assert size > 0


@pytest.mark.parametrize("opener", ["duckdb"], indirect=True)  # a database server has tools of its own
async def test_a_backup_while_writing_is_the_state_of_one_moment(
    events: Events, opener: Opener, tmp_path: Path, clock: MemoryClock
) -> None:
    await events.write(batch_of(said("before", id=ID), chosen=[(0, 1)]))
    directory = tmp_path / "copy"
    directory.mkdir()

    async def write_on() -> None:
        for number in range(10):
            await events.write(batch_of(*(said(f"{number}") for _ in range(500))))

    await asyncio.gather(events.backup(str(directory)), write_on())
    copy = await opener(directory, clock)
    count, _ = await copy.size()
    assert count % 500 == 1
    assert (await copy.write(batch_of(said("again", id=ID), chosen=[(0, 1)]))).stored == 0
    assert await copy.last_seq(1) == count
    await copy.close()
    assert (await events.write(batch_of(said("after")))).stored == 1


async def test_times_from_1970_to_2261_are_kept(events: Events) -> None:
    latest = 9_214_646_399_999_999
    await events.write(batch_of(said("first", time=0), said("last", time=latest)))
    assert [one.time for one in await events.search(Search(1))] == [latest, 0]
    assert to_datetime(latest).year == 2261
