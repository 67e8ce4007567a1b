"""Requests that wait: whether anybody is still there to be answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request


@asynccontextmanager
async def presence(request: Request) -> AsyncIterator[Callable[[], bool]]:
    """Whether the client is there still; its body was read, so that what comes next is its hanging up."""
    left = asyncio.create_task(_hung_up(request))
    try:
        yield lambda: not left.done()
    finally:
        left.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
