"""A process with a spooled queue, for tests that kill it: `python -m tests.support.spool_process URL FOLDER FIRST`.

Puts blocks FIRST, FIRST + 1, … and says each number once its put has returned, and forwards meanwhile what is spooled.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from headrace.adapters.postgres.database import BreakerOptions
from headrace.adapters.postgres.queue import PostgresQueue
from headrace.adapters.sqlite.spool import SpoolFolder
from headrace.adapters.system.clock import SystemClock
from headrace.errors import Unavailable
from headrace.ingest.spooled_queue import SpooledQueue
from tests.support.queue_process import block


async def spooled_queue(url: str, folder: Path) -> tuple[SpooledQueue, SpoolFolder]:
    """As wiring makes it."""
    clock = SystemClock()
    mine = await SpoolFolder.take(folder, clock, 1 << 30)
    remote = await PostgresQueue.open(
        url, clock, options=BreakerOptions(failures=3, seconds=0.5), may_be_away=True
    )
    return SpooledQueue(remote, mine.queue, lambda: mine.orphan(clock), clock), mine


async def _forward(queue: SpooledQueue) -> None:
    while True:
        try:
            await queue.forward_step()
        except Unavailable:
            await asyncio.sleep(0.2)


async def _main(url: str, folder: str, first: int) -> None:
    queue, _ = await spooled_queue(url, Path(folder))
    forwarding = asyncio.create_task(_forward(queue))
    while not forwarding.done():
        try:
            await queue.put(block(first))
        except Unavailable:
            first += 1  # neither stored nor said
            continue
        print(first, flush=True)
        first += 1
        await asyncio.sleep(0.005)
    await forwarding


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
