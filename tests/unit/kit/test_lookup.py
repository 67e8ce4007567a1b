"""The memory in front of a slow source."""

from __future__ import annotations

import asyncio

import pytest

from headrace.kit.lookup import Lookup
from headrace.kit.token_bucket import TokenBucket


class Source:
    """Answers from `values`, counts questions, fails while `down`, and waits while `held`."""

    def __init__(self) -> None:
        self.values: dict[str, int] = {"one": 1}
        self.asked: list[str] = []
        self.down = False
        self.seconds = 0.0
        self.put = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def ask(self, key: str) -> int | None:
        self.asked.append(key)
        self.put.set()
        value = self.values.get(key)
        await self.go.wait()
        if self.down:
            raise ConnectionError
        return value

    async def question(self) -> None:
        """Return when one has been put."""
        await self.put.wait()

    def lookup(self, *, size: int = 10, absent: int = 0) -> Lookup[str, int]:
        return Lookup(
            self.ask, lambda: self.seconds, ConnectionError, fresh=5.0, stale=900.0, size=size, absent=absent
        )


async def test_an_answer_is_kept_for_five_seconds_and_then_asked_for_again() -> None:
    source = Source()
    lookup = source.lookup()
    assert lookup.cached("one") is None
    assert await lookup.get("one") == 1
    source.values["one"] = 2
    source.seconds = 4.9
    assert (await lookup.get("one"), lookup.cached("one")) == (1, 1)
    source.seconds = 5.0
    assert lookup.cached("one") is None
    assert await lookup.get("one") == 2
    assert source.asked == ["one", "one"]


async def test_the_age_of_an_answer_counts_from_the_question() -> None:
    source = Source()
    lookup = source.lookup()
    source.go.clear()
    waiting = asyncio.create_task(lookup.get("one"))
    await source.question()
    source.seconds = 4.0  # the source took so long
    source.go.set()
    assert await waiting == 1
    source.seconds = 5.0
    assert lookup.cached("one") is None


async def test_while_the_source_is_slow_an_old_answer_serves_and_a_new_one_replaces_it() -> None:
    source = Source()
    lookup = source.lookup()
    await lookup.get("one")
    source.values["one"] = 2
    source.seconds = 6.0
    source.go.clear()
    assert await lookup.get("one") == 1
    assert lookup.cached("one") == 1
    source.go.set()
    await asyncio.sleep(0.01)
    assert lookup.cached("one") == 2


async def test_what_was_dropped_while_the_source_is_slow_does_not_serve() -> None:
    source = Source()
    lookup = source.lookup()
    await lookup.get("one")
    source.seconds = 6.0
    source.go.clear()
    waiting = asyncio.create_task(lookup.get("one"))
    await asyncio.sleep(0)
    lookup.drop("one")
    await asyncio.sleep(0.5)
    assert not waiting.done()
    source.go.set()
    await waiting


async def test_a_hundred_who_ask_at_once_make_one_question() -> None:
    source = Source()
    lookup = source.lookup()
    assert await asyncio.gather(*(lookup.get("one") for _ in range(100))) == [1] * 100
    assert source.asked == ["one"]


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others() -> None:
    source = Source()
    lookup = source.lookup()
    source.go.clear()
    first, second = asyncio.create_task(lookup.get("one")), asyncio.create_task(lookup.get("one"))
    await source.question()
    first.cancel()
    await asyncio.sleep(0)
    source.go.set()
    assert await second == 1


async def test_while_the_source_is_down_answers_up_to_fifteen_minutes_old_stay_good() -> None:
    source = Source()
    lookup = source.lookup()
    await lookup.get("one")
    source.down = True
    source.seconds = 899.0
    assert await lookup.get("one") == 1
    assert lookup.cached("one") == 1
    source.seconds = 900.0
    assert lookup.cached("one") is None
    with pytest.raises(ConnectionError):
        await lookup.get("one")


async def test_while_the_source_is_down_it_is_asked_only_every_five_seconds() -> None:
    source = Source()
    lookup = source.lookup()
    await lookup.get("one")
    source.down = True
    for tenth in range(60, 160):
        source.seconds = tenth / 10
        await lookup.get("one")
    assert len(source.asked) == 1 + 2


async def test_what_was_never_seen_fails_while_the_source_is_down_and_is_not_remembered() -> None:
    source = Source()
    lookup = source.lookup(absent=10)
    source.down = True
    with pytest.raises(ConnectionError):
        await lookup.get("one")
    source.down = False
    assert await lookup.get("one") == 1


async def test_what_disappeared_at_the_source_is_gone_after_five_seconds() -> None:
    source = Source()
    lookup = source.lookup()
    await lookup.get("one")
    del source.values["one"]
    source.seconds = 5.0
    assert await lookup.get("one") is None
    source.down = True
    source.seconds = 11.0
    with pytest.raises(ConnectionError):
        await lookup.get("one")


async def test_absence_is_remembered_only_where_it_was_asked_for() -> None:
    source = Source()
    keeping, asking = source.lookup(absent=10), source.lookup()
    for _ in range(3):
        assert await keeping.get("none") is None
    assert source.asked == ["none"]
    for _ in range(3):
        assert await asking.get("none") is None
    assert source.asked == ["none"] * 4


async def test_a_flood_of_unknown_keys_fills_no_memory_and_drives_out_no_known_one() -> None:
    source = Source()
    lookup = source.lookup(size=2, absent=3)
    await lookup.get("one")
    for number in range(100):
        await lookup.get(f"made up {number}")
    assert lookup.cached("one") == 1
    assert (len(lookup._known), len(lookup._absent), len(lookup._asking)) == (1, 3, 0)


async def test_the_longest_unconfirmed_is_forgotten_first() -> None:
    source = Source()
    source.values = {"a": 1, "b": 2, "c": 3}
    lookup = source.lookup(size=2)
    await lookup.get("a")
    await lookup.get("b")
    source.seconds = 5.0
    await lookup.get("a")
    await lookup.get("c")
    assert (lookup.knows("a"), lookup.knows("b"), lookup.knows("c")) == (True, False, True)


async def test_a_change_of_our_own_beats_a_question_that_was_put_before_it() -> None:
    source = Source()
    lookup = source.lookup()
    source.go.clear()
    waiting = asyncio.create_task(lookup.get("one"))
    await source.question()
    lookup.put("one", 2)
    source.go.set()
    assert await waiting == 1
    assert lookup.cached("one") == 2


async def test_a_removal_of_our_own_beats_a_question_that_was_put_before_it() -> None:
    source = Source()
    lookup = source.lookup()
    source.go.clear()
    waiting = asyncio.create_task(lookup.get("one"))
    await source.question()
    lookup.drop("one")
    source.go.set()
    await waiting
    assert lookup.cached("one") is None


def test_a_token_bucket_gives_its_size_at_once_and_then_its_rate() -> None:
    seconds = 0.0
    bucket = TokenBucket(3, 2, lambda: seconds)
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    seconds = 1.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    seconds = 1_000.0
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
