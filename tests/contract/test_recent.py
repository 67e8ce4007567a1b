"""What every cache of recent events promises: an answer equal to the store's, or none."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.adapters.memory.recent import MemoryRecent
from headrace.model.event import EventBatch, Party, StoredEvent, Written
from headrace.ports.recent import Recent
from tests.support.events import BUCKET_ID, append, batch_of, newest_first, stored_event, written

MAKERS: dict[str, Callable[[int], Recent]] = {"memory": MemoryRecent}


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Callable[[int], Recent]:
    return MAKERS[request.param]


@pytest.fixture
def recent(make: Callable[[int], Recent]) -> Recent:
    return make(10)


def load(recent: Recent, events: Sequence[StoredEvent], bucket_id: int = BUCKET_ID) -> None:
    ticket = recent.expect(bucket_id)
    newest = newest_first(events)[: recent.capacity]
    recent.load(bucket_id, ticket, newest, complete=len(newest) < recent.capacity)


def add(recent: Recent, events: Sequence[StoredEvent], bucket_id: int = BUCKET_ID) -> None:
    recent.add(batch_of(events, bucket_id), written(events))


def some(count: int, first: int = 1) -> list[StoredEvent]:
    return [stored_event(seq) for seq in range(first, first + count)]


def test_a_bucket_that_was_not_loaded_is_a_miss(recent: Recent) -> None:
    add(recent, some(3))
    assert recent.latest(BUCKET_ID, 1) is None


def test_a_loaded_bucket_answers_newest_first(recent: Recent) -> None:
    load(recent, some(5))
    assert recent.latest(BUCKET_ID, 3) == newest_first(some(5))[:3]


def test_a_complete_bucket_answers_with_fewer_than_asked_for(recent: Recent) -> None:
    load(recent, some(2))
    assert recent.latest(BUCKET_ID, 100) == newest_first(some(2))


def test_an_empty_bucket_is_a_hit(recent: Recent) -> None:
    load(recent, [])
    assert recent.latest(BUCKET_ID, 1) == []


def test_it_does_not_answer_what_lies_below_the_floor(recent: Recent) -> None:
    load(recent, some(50))
    assert recent.latest(BUCKET_ID, recent.capacity - 1) is not None
    assert recent.latest(BUCKET_ID, recent.capacity + 1) is None


def test_what_is_added_comes_out_equal_field_by_field(recent: Recent) -> None:
    event = stored_event(
        4, 1_700_000_000_123_456, (1 << 127) + 3, received_at=1_700_000_000_654_321, level=4, service="api",
        action="invoice.paid", actor=Party("u1", "user", "Ada"), target=Party("i1"), outcome="failure", message="é",
        attributes='{"a": 1.50,  "b": "ü"}', trace_id="t", span_id="s",
    )  # fmt: skip
    load(recent, [])
    add(recent, [event, stored_event(5, 1, 1, message=None, action="x")])
    assert recent.latest(BUCKET_ID, 2) == [event, stored_event(5, 1, 1, message=None, action="x")]


def test_a_late_event_takes_its_place_by_time(recent: Recent) -> None:
    load(recent, [stored_event(1, 10), stored_event(2, 30)])
    add(recent, [stored_event(3, 20)])
    assert [event.time for event in recent.latest(BUCKET_ID, 3) or ()] == [30, 20, 10]


def test_a_late_event_below_the_floor_is_not_answered_as_if_it_were_next(recent: Recent) -> None:
    load(recent, [stored_event(seq, 1_000 + seq) for seq in range(1, 51)])
    add(recent, [stored_event(51, 5)])
    assert recent.latest(BUCKET_ID, recent.capacity + 1) is None


def test_events_at_one_time_are_in_the_order_of_their_ids(recent: Recent) -> None:
    load(recent, [])
    add(recent, [stored_event(1, 5, 30), stored_event(2, 5, 10), stored_event(3, 5, 1 << 100)])
    assert [event.id for event in recent.latest(BUCKET_ID, 3) or ()] == [1 << 100, 30, 10]


def test_rows_that_were_not_stored_are_left_out(recent: Recent) -> None:
    load(recent, [])
    recent.add(batch_of(some(4, first=100)), Written(2, 8, kept=[1, 3]))
    assert [(event.id, event.seq) for event in recent.latest(BUCKET_ID, 4) or ()] == [(103, 9), (101, 8)]


def test_a_batch_of_several_buckets_goes_to_each(recent: Recent) -> None:
    batch = EventBatch()
    for seq in range(1, 7):
        append(batch, [stored_event(seq)], 1 + seq % 2)
    load(recent, [], 1)
    load(recent, [], 2)
    recent.add(batch, Written(6, 1))
    assert [event.seq for event in recent.latest(1, 9) or ()] == [6, 4, 2]
    assert [event.seq for event in recent.latest(2, 9) or ()] == [5, 3, 1]


def test_events_committed_between_the_read_and_the_load_are_there(recent: Recent) -> None:
    ticket = recent.expect(BUCKET_ID)
    read = newest_first(some(3))
    add(recent, some(2, first=4))
    recent.load(BUCKET_ID, ticket, read, complete=True)
    assert recent.latest(BUCKET_ID, 9) == newest_first(some(5))


def test_events_that_the_read_saw_before_they_were_added_are_there_once(recent: Recent) -> None:
    ticket = recent.expect(BUCKET_ID)
    add(recent, some(1))
    recent.load(BUCKET_ID, ticket, newest_first(some(3)), complete=True)
    add(recent, some(2, first=2))
    assert recent.latest(BUCKET_ID, 9) == newest_first(some(3))


def test_a_load_does_not_bring_back_what_was_deleted_meanwhile(recent: Recent) -> None:
    ticket = recent.expect(BUCKET_ID)
    read = newest_first(some(3))
    recent.forget(BUCKET_ID)
    recent.load(BUCKET_ID, ticket, read, complete=True)
    assert recent.latest(BUCKET_ID, 1) is None


def test_a_ticket_from_before_a_deletion_does_not_serve_a_later_load(recent: Recent) -> None:
    old = recent.expect(BUCKET_ID)
    recent.forget(BUCKET_ID)
    recent.expect(BUCKET_ID)
    recent.load(BUCKET_ID, old, newest_first(some(3)), complete=True)
    assert recent.latest(BUCKET_ID, 1) is None


def test_a_forgotten_bucket_can_be_loaded_again(recent: Recent) -> None:
    load(recent, some(3))
    recent.forget(BUCKET_ID)
    assert recent.latest(BUCKET_ID, 1) is None
    load(recent, some(2))
    assert recent.latest(BUCKET_ID, 3) == newest_first(some(2))


def test_a_loaded_bucket_gives_no_ticket(recent: Recent) -> None:
    load(recent, some(3))
    assert recent.expect(BUCKET_ID) is None


def test_nothing_is_kept_without_capacity(make: Callable[[int], Recent]) -> None:
    recent = make(0)
    assert recent.expect(BUCKET_ID) is None
    add(recent, some(3))
    assert recent.latest(BUCKET_ID, 1) is None


@pytest.mark.parametrize("order", ["rising", "falling", "shuffled", "nearly", "one time", "few times", "striped"])
@pytest.mark.parametrize("buckets", [1, 3])
def test_large_batches_in_any_order_leave_the_newest(make: Callable[[int], Recent], order: str, buckets: int) -> None:
    dice = random.Random(7)
    count = 6_000
    times = {
        "rising": range(count),
        "falling": range(count, 0, -1),
        "shuffled": dice.sample(range(count), count),
        "nearly": [place + dice.randrange(50) for place in range(count)],
        "one time": [9] * count,
        "few times": [dice.randrange(4) for _ in range(count)],
        "striped": [place + count * (place % 6 == 0) for place in range(count)],  # a sample of every sixth misleads
    }[order]
    events = [stored_event(seq, time, dice.getrandbits(127)) for seq, time in enumerate(times, start=1)]
    batch, by_bucket = EventBatch(), [events[number::buckets] for number in range(buckets)]
    for place, event in enumerate(events):
        append(batch, [event], place % buckets)
    recent = make(100)
    for number in range(buckets):
        load(recent, [], number)
    recent.add(batch, written(events))
    for number in range(buckets):
        assert recent.latest(number, 100) == newest_first(by_bucket[number])[:100]


def test_a_large_batch_of_many_buckets_leaves_a_page_of_each_and_no_gap(make: Callable[[int], Recent]) -> None:
    buckets, each = 10, 1_000
    batch, recent = EventBatch(), make(1_000)
    events = [stored_event(seq, seq * 7_919 % 10_007) for seq in range(1, buckets * each + 1)]
    for number in range(buckets):
        load(recent, [stored_event(0, 10_000)], number)
        append(batch, events[number * each : (number + 1) * each], number)
    recent.add(batch, written(events))
    for number in range(buckets):
        there = newest_first([stored_event(0, 10_000), *events[number * each : (number + 1) * each]])
        assert recent.latest(number, 100) == there[:100]
        assert recent.latest(number, 1_000) in (None, there[:1_000])
        assert recent.latest(number, 1_002) in (None, there[:1_002])


def test_many_batches_leave_the_newest(make: Callable[[int], Recent]) -> None:
    dice = random.Random(3)
    recent = make(20)
    load(recent, [])
    events: list[StoredEvent] = []
    for _ in range(100):
        fresh = [stored_event(len(events) + n, dice.randrange(500)) for n in range(1, dice.randrange(2, 40))]
        add(recent, fresh)
        events += fresh
        for limit in (1, 7, 20):
            assert recent.latest(BUCKET_ID, limit) == newest_first(events)[:limit]


class AnyOrder(RuleBasedStateMachine):
    """Commits, adds, loads and deletions in any order, against the whole list of what is stored."""

    @initialize(maker=st.sampled_from(sorted(MAKERS)))
    def start(self, maker: str) -> None:
        self.recent = MAKERS[maker](3)
        self.seq = 0
        self.store: list[StoredEvent] = []
        self.to_add: list[list[StoredEvent]] = []
        self.reads: list[tuple[object, list[StoredEvent]]] = []

    @rule(times=st.lists(st.integers(0, 9), min_size=1, max_size=16))
    def commit(self, times: list[int]) -> None:
        seqs = range(self.seq + 1, self.seq + 1 + len(times))
        events = [stored_event(seq, time, seq * 7_919 % 100_003) for seq, time in zip(seqs, times, strict=True)]
        self.seq += len(times)
        self.store += events
        self.to_add.append(events)

    @precondition(lambda self: self.to_add)
    @rule()
    def add_the_next(self) -> None:
        add(self.recent, self.to_add.pop(0))

    @rule()
    def read_for_a_load(self) -> None:
        ticket = self.recent.expect(BUCKET_ID)
        if ticket is not None:
            self.reads.append((ticket, newest_first(self.store)[: self.recent.capacity]))

    @precondition(lambda self: self.reads)
    @rule(data=st.data())
    def load(self, data: st.DataObject) -> None:
        ticket, events = self.reads.pop(data.draw(st.integers(0, len(self.reads) - 1)))
        self.recent.load(BUCKET_ID, ticket, events, complete=len(events) < self.recent.capacity)

    @precondition(lambda self: not self.to_add)  # the drain tells at once; a deletion comes a transaction later
    @rule(time=st.integers(0, 9))
    def delete(self, time: int) -> None:
        self.store = [event for event in self.store if event.time >= time]
        self.recent.forget(BUCKET_ID)

    @invariant()
    def it_answers_like_the_store_or_not_at_all(self) -> None:
        if getattr(self, "to_add", True):
            return  # committed, and the cache not told yet: it is that much behind
        for limit in range(1, 7):
            found = self.recent.latest(BUCKET_ID, limit)
            assert found is None or found == newest_first(self.store)[:limit]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)


def test_memory_is_bounded_by_buckets() -> None:
    recent = MemoryRecent(10, max_buckets=2)
    for bucket_id in (1, 2):
        load(recent, some(1), bucket_id)
    recent.latest(1, 1)
    load(recent, some(1), 3)
    assert [recent.latest(bucket_id, 1) is not None for bucket_id in (1, 2, 3)] == [True, False, True]


def test_memory_is_bounded_by_bytes() -> None:
    recent = MemoryRecent(100, max_bytes=400_000)
    load(recent, [])
    for seq in range(1, 101):
        add(recent, [stored_event(seq, message="x" * 20_000)])
    assert recent.latest(BUCKET_ID, 3) == newest_first(
        [stored_event(seq, message="x" * 20_000) for seq in (98, 99, 100)]
    )
    assert recent.latest(BUCKET_ID, 20) is None


def test_an_event_larger_than_its_share_is_a_miss() -> None:
    recent = MemoryRecent(100, max_bytes=40_000)
    load(recent, [])
    add(recent, [stored_event(1, message="x" * 20_000)])
    assert recent.latest(BUCKET_ID, 1) is None
