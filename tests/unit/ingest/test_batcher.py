from __future__ import annotations

import asyncio

import pytest

from headrace.errors import OutcomeUnknown, Overloaded, Unavailable
from headrace.ingest.batcher import Batcher
from headrace.ingest.frame import Frame, decode_block, encode_frame
from tests.unit.ingest.fakes import NOW, FixedClock, HeldQueue, NoMetrics


def frame(text: str = '{"message":"m"}') -> bytes:
    return encode_frame(Frame(7, NOW, 1, text.encode(), 1, 2))


def batcher(queue: HeldQueue, max_bytes: int = 1 << 20) -> Batcher:
    return Batcher(queue, FixedClock(), NoMetrics(), max_bytes=max_bytes)  # type: ignore[arg-type]  # as much of a queue as is needed


async def test_frames_that_come_during_a_commit_go_into_the_next_block_together() -> None:
    queue = HeldQueue(held=True)
    under_test = batcher(queue)
    first = under_test.submit(frame(), 1, 10)
    await asyncio.sleep(0.01)
    later = [under_test.submit(frame(), 1, 10) for _ in range(5)]
    queue.go()
    await asyncio.gather(first, *later)
    assert [block.events for block in queue.blocks] == [1, 5]


async def test_nothing_is_acknowledged_before_the_commit() -> None:
    queue = HeldQueue(held=True)
    done = batcher(queue).submit(frame(), 1, 10)
    await asyncio.sleep(0.01)
    assert not done.done()
    queue.go()
    assert await done == queue.blocks[0].id


@pytest.mark.parametrize("error", [Overloaded("full"), Unavailable("down"), OutcomeUnknown("who knows")])
async def test_a_failed_commit_fails_all_who_were_in_it_and_nobody_after(error: Unavailable) -> None:
    queue = HeldQueue()
    queue.fail = error
    under_test = batcher(queue)
    results = await asyncio.gather(*(under_test.submit(frame(), 1, 10) for _ in range(3)), return_exceptions=True)
    assert results == [error] * 3
    assert await under_test.submit(frame(), 1, 10) == queue.blocks[0].id


async def test_frames_over_the_bound_are_refused_and_those_within_it_kept() -> None:
    queue = HeldQueue(held=True)
    under_test = batcher(queue, max_bytes=3 * len(frame()))
    taken = [under_test.submit(frame(), 1, 10) for _ in range(3)]
    with pytest.raises(Overloaded):
        under_test.submit(frame(), 1, 10)
    queue.go()
    await asyncio.gather(*taken)
    assert sum(block.events for block in queue.blocks) == 3


async def test_a_client_that_hangs_up_does_not_disturb_its_neighbours() -> None:
    queue = HeldQueue(held=True)
    under_test = batcher(queue)
    gone, stays = under_test.submit(frame(), 1, 10), under_test.submit(frame(), 1, 10)
    gone.cancel()
    queue.go()
    assert await stays == queue.blocks[0].id


async def test_closing_finishes_what_was_taken_and_refuses_what_comes() -> None:
    queue = HeldQueue(held=True)
    under_test = batcher(queue)
    taken = under_test.submit(frame(), 1, 10)
    closing = asyncio.create_task(under_test.close())
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        under_test.submit(frame(), 1, 10)
    queue.go()
    await closing
    assert taken.result() == queue.blocks[0].id


async def test_a_block_holds_its_frames_unchanged_and_in_order() -> None:
    queue = HeldQueue()
    under_test = batcher(queue)
    texts = [f'{{"message":"m{n}"}}' for n in range(20)]
    await asyncio.gather(*(under_test.submit(frame(text), 1, 10) for text in texts))
    assert [one.lines.decode() for one in decode_block(queue.blocks[0].payload)] == texts
