"""Celery on Redis: late acknowledgement, as work that must not be lost needs it, and results in Redis.

`python -m benchmarks.reference.celery_app submit N` submits and says how much CPU time that took.
"""

from __future__ import annotations

import os
import sys
import time

from celery import Celery

URL = os.environ["BENCH_URL"]  # noqa: TID251 - `celery worker` hands nothing else on
app = Celery("bench", broker=URL, backend=URL)
app.conf.task_acks_late = True
app.conf.broker_connection_retry_on_startup = True


@app.task(name="add")
def add(a: int, b: int) -> int:
    return a + b


def main() -> None:
    count = int(sys.argv[2])
    began = time.process_time()
    with app.producer_or_acquire() as producer:
        for _ in range(count):
            add.apply_async((5, 10), producer=producer)
    print(time.process_time() - began)


if __name__ == "__main__":
    main()
