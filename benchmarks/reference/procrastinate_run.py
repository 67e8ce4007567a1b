"""`python -m benchmarks.reference.procrastinate_run schema|work|submit N`; `submit` says what CPU time that took."""

from __future__ import annotations

import asyncio
import sys
import time

from benchmarks.reference.procrastinate_app import add, app

_CONCURRENCY = 10  # async tasks at once, as Headrace runs them
_AT_ONCE = 1_000


async def _submit(count: int) -> None:
    began = time.process_time()
    for first in range(0, count, _AT_ONCE):
        await add.batch_defer_async(*[{"a": 5, "b": 10}] * min(_AT_ONCE, count - first))
    print(time.process_time() - began)


async def main() -> None:
    async with app.open_async():
        match sys.argv[1]:
            case "schema":
                await app.schema_manager.apply_schema_async()
            case "work":
                await app.run_worker_async(concurrency=_CONCURRENCY)
            case _:
                await _submit(int(sys.argv[2]))


if __name__ == "__main__":
    asyncio.run(main())
