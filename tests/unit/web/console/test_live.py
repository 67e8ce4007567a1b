"""The live tail of Explore: what is gathered, what is left out, and how it is sent."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pytest

from headrace.query.tail import TailPage
from headrace.web.console.pages.explore import live
from headrace.web.console.pages.explore.live import MOST_AT_ONCE, MOST_PER_SECOND, Batch
from headrace.web.console.pages.explore.state import State
from tests.unit.web.fakes import NOW, event

STATE = State("default")


class Hand:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def readable() -> bool:
    return True


async def pages_of(*given: TailPage, hand: Hand | None = None, step: float = 0.0) -> AsyncGenerator[TailPage, None]:
    for page in given:
        yield page
        if hand is not None:
            hand.seconds += step


def page(first: int, count: int, *, more: bool = False) -> TailPage:
    last = first + count - 1
    return TailPage(last, [event(number, time=NOW + number) for number in range(first, last + 1)], more)


async def batches(pages: AsyncGenerator[TailPage, None], hand: Hand | None = None) -> list[Batch]:
    return [batch async for batch in live._batches(pages, hand or Hand(), readable)]  # type: ignore[arg-type]


def numbers(batch: Batch) -> list[int]:
    return [shown.seq for shown in batch.events]


async def test_pages_that_follow_at_once_are_shown_at_once() -> None:
    found = await batches(pages_of(page(1, 200, more=True), page(201, 5), page(206, 1)))
    assert [(len(batch.events), batch.position) for batch in found] == [(205, 205), (1, 206)]
    assert numbers(found[0]) == list(range(1, 206))


async def test_after_200_ms_what_there_is_is_shown() -> None:
    hand = Hand()
    given = [page(100 * number + 1, 100, more=True) for number in range(6)]
    found = await batches(pages_of(*given, TailPage(600, ()), hand=hand, step=0.1), hand)
    assert [len(batch.events) for batch in found] == [300, 300, 0]


async def test_a_burst_of_a_thousand_is_shown_whole() -> None:
    found = await batches(pages_of(*(page(200 * number + 1, 200, more=number < 4) for number in range(5))))
    assert [(len(batch.events), batch.left_out) for batch in found] == [(MOST_AT_ONCE, 0)]


async def test_of_more_the_newest_are_shown_and_the_others_counted_with_their_times() -> None:
    (found,) = await batches(pages_of(page(1, MOST_AT_ONCE + 300)))
    assert numbers(found) == list(range(301, MOST_AT_ONCE + 301))
    assert (found.left_out, found.since, found.until) == (300, NOW + 1, NOW + 301)


async def test_under_a_flood_each_event_is_either_shown_or_counted() -> None:
    hand = Hand()
    flood = [page(1_000 * number + 1, 1_000) for number in range(50)]  # 5,000 a second for ten seconds
    found = await batches(pages_of(*flood, hand=hand, step=0.2), hand)
    shown = sum(len(batch.events) for batch in found)
    assert shown + sum(batch.left_out for batch in found) == 50_000
    assert shown <= MOST_AT_ONCE + 10 * MOST_PER_SECOND
    assert [batch.position for batch in found] == [flooded.position for flooded in flood]


async def test_times_of_what_is_left_out_hold_all_of_it_in_whatever_order_it_was_stored() -> None:
    times = [50, 10, 90, 30]
    batch = Batch(0)
    batch.add(TailPage(4, [event(number, time=time) for number, time in enumerate(times, 1)]))
    batch.cut(1)
    assert (batch.left_out, batch.since, batch.until) == (3, 10, 91)


async def test_it_ends_when_the_session_does() -> None:
    left = [True, False]

    async def still() -> bool:
        return left.pop(0)

    given = pages_of(page(1, 1), page(2, 1), page(3, 1))
    found = [batch async for batch in live._batches(given, Hand(), still)]  # type: ignore[arg-type]
    assert [batch.position for batch in found] == [1]


async def sent(*given: Batch) -> Sequence[str]:
    async def made() -> AsyncIterator[Batch]:
        for batch in given:
            yield batch

    stream = live._as_sse(made(), STATE)  # type: ignore[arg-type]
    return [frame.decode() async for frame in stream]


def batch_of(*events: object) -> Batch:
    batch = Batch(0)
    batch.add(TailPage(len(events), events))  # type: ignore[arg-type]
    return batch


async def test_signs_of_life_move_the_position_and_the_first_says_when_to_come_back() -> None:
    assert await sent(Batch(40), Batch(41)) == [": alive\nretry: 1000\nid: 40\n\n", ": alive\nid: 41\n\n"]


async def test_rows_are_those_of_the_list_the_newest_first() -> None:
    (frame,) = await sent(batch_of(event(1), event(2)))
    assert frame.startswith("id: 2\nevent: rows\ndata: ")
    assert frame.endswith("\n\n")
    assert re.findall(r'id="e-[0-9a-f-]+0(\d)"', frame) == ["2", "1"]
    assert all(line.startswith(("id: ", "event: ", "data: ")) for line in frame.strip().split("\n"))


async def test_what_is_left_out_is_told_behind_the_rows() -> None:
    batch = batch_of(event(1, time=5), event(2, time=7), event(3, time=9))
    batch.cut(1)
    (frame,) = await sent(batch)
    assert 'class="events-left-out" data-count="2" data-since="5" data-until="8"' in frame


@pytest.mark.parametrize(
    "message",
    ["<script>alert(1)</script>", "one\ndata: two\n\nid: 9\n\n", "cr\rdata: x\r\rid: 9", "\u2028\u0085\x0b\x0c",
     "\x1b[31m", '"><img src=x onerror=alert(1)>'],
)  # fmt: skip
async def test_no_message_breaks_out_of_its_row_or_of_its_frame(message: str) -> None:
    (frame,) = await sent(batch_of(event(1, message=message)))
    body, lines = frame.removesuffix("\n\n"), frame.removesuffix("\n\n").split("\n")
    assert [line for line in lines if line.startswith("id:")] == ["id: 1"]
    assert all(line.startswith(("id: ", "event: ", "data: ")) for line in lines)
    assert "\r" not in body
    assert "<script" not in body
    assert "<img" not in body
    assert "\x1b" not in html.unescape(body)
