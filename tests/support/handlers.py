"""Handlers as the author of an application writes them, well behaved and not, for child processes of the tests."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from headrace.handlers import Context, Failed, RetryLater, task


@task("echo")
async def echo(value: object = None) -> object:
    """Its own argument."""
    return value


@task("said")
async def said(ctx: Context) -> str:
    ctx.log.info("hello", lease=ctx.lease, attempt=ctx.attempt)
    ctx.progress(0.5, "half")
    return ctx.task_id


@task("sync.said")
def sync_said(ctx: Context) -> str:
    ctx.log.info("hello", lease=ctx.lease, attempt=ctx.attempt)
    ctx.progress(0.5, "half")
    return ctx.task_id


@task("fails")
async def fails() -> None:
    raise Failed("there is no such order")


@task("later")
async def later() -> None:
    raise RetryLater("the shop is closed", after=30)


@task("breaks")
async def breaks() -> None:
    raise KeyError("order")


@task("too.large")
async def too_large() -> str:
    return "x" * (1024 * 1024)


@task("no.json")
async def no_json() -> object:
    return object()


@task("sleeps", timeout=60)
async def sleeps(seconds: float = 60, note: str = "") -> str:
    await asyncio.sleep(seconds)
    return note


@task("sync.sleeps")
def sync_sleeps(seconds: float = 60) -> str:
    time.sleep(seconds)
    return "awake"


@task("sync.listens")
def sync_listens(ctx: Context) -> None:
    while True:
        ctx.check()
        time.sleep(0.01)


@task("deaf")
async def deaf() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)


@task("marks")
async def marks(path: str, seconds: float = 0) -> int:
    """A line for each time it begins; how many there are then."""
    with Path(path).open("a") as file:  # noqa: ASYNC230  # a line in a temporary file blocks nobody
        file.write("begun\n")
    await asyncio.sleep(seconds)
    return len(Path(path).read_text().splitlines())


@task("dies")
async def dies(after: float = 0) -> None:
    await asyncio.sleep(after)
    os.kill(os.getpid(), signal.SIGKILL)


@task("exits")
def exits(status: int) -> None:
    os._exit(status)


@task("leaves")
async def leaves(status: int) -> None:
    sys.exit(status)


@task("pid")
async def pid() -> int:
    return os.getpid()


@task("prints")
def prints(text: str) -> None:
    print(text)


@task("chatters")
def chatters(ctx: Context) -> None:
    for _ in range(3_000):
        ctx.log.info("x" * 1_000)
