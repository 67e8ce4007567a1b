from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from headrace.kit.group import Group


class Doubling:
    """Doubles numbers, and remembers what came together."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, numbers: Sequence[int]) -> Sequence[int]:
        self.calls.append(list(numbers))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [2 * number for number in numbers]


async def until(there: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not there():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0)


def group(act: Doubling, **limits: int) -> Group[int, int]:
    at_once, most = limits.get("at_once", 100), limits.get("most", 1000)
    return Group(act, at_once=at_once, most=most, full=lambda: OverflowError("full"))


async def test_who_comes_while_a_call_is_under_way_shares_the_next() -> None:
    act = Doubling()
    doubled = group(act)
    act.gate.clear()
    first = asyncio.create_task(doubled([1]))
    await until(lambda: act.calls)
    others = [asyncio.create_task(doubled([number, number + 10])) for number in (2, 3)]
    await asyncio.sleep(0.01)
    act.gate.set()
    assert [list(result) for result in await asyncio.gather(first, *others)] == [[2], [4, 24], [6, 26]]
    assert act.calls == [[1], [2, 12, 3, 13]]


async def test_no_call_has_more_than_at_once_unless_one_brings_them_all() -> None:
    act = Doubling()
    doubled = group(act, at_once=3)
    await asyncio.gather(doubled([1, 2]), doubled([3, 4]), doubled([5, 6, 7, 8]))
    assert act.calls == [[1, 2], [3, 4], [5, 6, 7, 8]]


async def test_all_who_share_a_call_get_its_error_and_the_next_call_is_made_all_the_same() -> None:
    act = Doubling()
    doubled = group(act)
    act.error = ValueError("no")
    results = await asyncio.gather(doubled([1]), doubled([2]), return_exceptions=True)
    assert [str(result) for result in results] == ["no", "no"]
    act.error = None
    assert await doubled([3]) == [6]


async def test_who_hung_up_takes_nothing_from_the_others() -> None:
    act = Doubling()
    doubled = group(act)
    act.gate.clear()
    gone, stays = asyncio.create_task(doubled([1])), asyncio.create_task(doubled([2]))
    await until(lambda: act.calls)
    gone.cancel()
    act.gate.set()
    assert await stays == [4]


async def test_when_too_many_wait_the_next_is_told_so() -> None:
    act = Doubling()
    doubled = group(act, most=2)
    act.gate.clear()
    first = asyncio.create_task(doubled([1]))
    await until(lambda: act.calls)
    waiting = asyncio.create_task(doubled([2, 3]))
    await asyncio.sleep(0.01)
    with pytest.raises(OverflowError):
        await doubled([4])
    act.gate.set()
    await asyncio.gather(first, waiting)


async def test_closing_waits_for_what_was_taken() -> None:
    act = Doubling()
    doubled = group(act)
    taken = asyncio.create_task(doubled([1]))
    await asyncio.sleep(0)
    await doubled.close()
    assert act.calls == [[1]]
    assert await taken == [2]
