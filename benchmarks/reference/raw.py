"""A raw ASGI app that only decodes the JSON and answers: the floor under any Python service with this server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode
_BODY = b'{"id":"01970000-0000-7000-8000-000000000000"}'
_START = {
    "type": "http.response.start",
    "status": 202,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))],
}
_ANSWER = {"type": "http.response.body", "body": _BODY}


async def app(
    _scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    _decode(body)
    await send(_START)
    await send(_ANSWER)
