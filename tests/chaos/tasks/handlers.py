"""Handlers with effects in the world outside, and some that kill their process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from functools import cache
from pathlib import Path

from headrace.handlers import Context, task
from headrace.model.task import Retry
from tests.chaos.tasks.outside import VARIABLE, Outside

_SOON = Retry(first=0.2, factor=1.0, longest=0.2)
MODULE = __name__


@cache
def outside() -> Outside:
    return Outside(Path(os.environ[VARIABLE]))


@task("effect", retry=_SOON)
def effect(ctx: Context, token: str, seconds: float = 0.0, steps: int = 1) -> dict[str, str]:
    run = outside().run(ctx.task_id, ctx.lease, ctx.attempt)
    for _ in range(steps - 1):
        time.sleep(seconds / steps)
        run.write("step")
    time.sleep(seconds / steps)
    run.write("end")
    return {"token": token, "run": run.name}


@task("effect.async", retry=_SOON)
async def effect_async(ctx: Context, token: str, seconds: float = 0.0) -> dict[str, str]:
    run = outside().run(ctx.task_id, ctx.lease, ctx.attempt)
    await asyncio.sleep(seconds)
    run.write("end")
    return {"token": token, "run": run.name}


@task("poison", retry=_SOON, max_attempts=3)
def poison(ctx: Context, token: str, how: str) -> None:
    """Ends its process: `exit`, or by a signal."""
    del token
    outside().run(ctx.task_id, ctx.lease, ctx.attempt)
    if how == "exit":
        os._exit(3)
    os.kill(os.getpid(), signal.Signals[how])
    time.sleep(10)
