"""Reading and storing in turns, at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

T = TypeVar("T")


async def read_ahead(pages: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The same pages; while one is stored, the next is read. To be used with `aclosing`: whoever stops early must not
    close what is read from while the next page is."""
    reading = asyncio.ensure_future(anext(pages, None))
    try:
        while (page := await asyncio.shield(reading)) is not None:
            reading = asyncio.ensure_future(anext(pages, None))
            yield page
    finally:
        await asyncio.gather(reading, return_exceptions=True)  # a thread that reads cannot be called off
