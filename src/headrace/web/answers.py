"""Answers that are bytes already, and streams that fail before they begin rather than in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from starlette.responses import Response

encode = msgspec.json.Encoder().encode


class JsonBytes(Response):
    """A body that is JSON already: no pydantic, no second look."""

    media_type = "application/json"


async def begun(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`stream` with its first piece at hand: what it raises until then can still be answered properly."""
    try:
        first = await anext(stream)
    except StopAsyncIteration:
        first = b""

    async def again() -> AsyncIterator[bytes]:
        try:
            yield first
            async for piece in stream:
                yield piece
        finally:
            if close := getattr(stream, "aclose", None):
                await close()

    return again()


def attachment(name: str) -> str:
    """A Content-Disposition for a file name of ours (letters, digits, `.`, `_`, `-`)."""
    return f'attachment; filename="{name}"'
