"""A process with a queue of its own, for tests that kill it: `python -m tests.support.queue_process URL MODE`.

MODE `put`: puts blocks 1, 2, … until it is killed, and says each number once its put has returned; `put FROM`, from
there. MODE `hold`: receives what there is, says how many blocks it were, and keeps them.
"""

from __future__ import annotations

import asyncio
import sys

from headrace.adapters.postgres.queue import PostgresQueue
from headrace.adapters.system.clock import SystemClock
from headrace.model.block import Block


def block(number: int, size: int = 1000) -> Block:
    """Of 10 events."""
    return Block(number, number.to_bytes(8) * (size // 8), 10)


async def _main(url: str, mode: str, first: int = 1) -> None:
    queue = await PostgresQueue.open(url, SystemClock())
    try:
        if mode == "hold":
            print(len(await queue.receive(1_000_000, 10)), flush=True)
            await asyncio.Event().wait()
        while True:
            await queue.put(block(first))
            print(first, flush=True)
            first += 1
    finally:
        await queue.close()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
