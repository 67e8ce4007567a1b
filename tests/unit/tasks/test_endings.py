from __future__ import annotations

import asyncio

from headrace.tasks.endings import Endings


async def test_an_end_between_a_look_and_the_wait_is_heard() -> None:
    endings = Endings()
    with endings.listening(7) as ending:
        endings.tell([7])
        await asyncio.wait_for(ending.wait(60), 5)


async def test_another_tasks_end_wakes_nobody() -> None:
    endings = Endings()
    with endings.listening(7) as ending:
        endings.tell([8])
        waiting = asyncio.create_task(ending.wait(60))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        endings.tell([7])
        await asyncio.wait_for(waiting, 5)


async def test_who_has_gone_leaves_nothing_behind_and_a_stop_ends_every_wait() -> None:
    endings = Endings()
    with endings.listening(7):
        pass
    endings.tell([7])
    with endings.listening(7) as ending:
        endings.stop()
        await asyncio.wait_for(ending.wait(60), 5)
