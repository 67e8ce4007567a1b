"""A body over the limit is refused while it is read, not after: by its Content-Length, or by what has come so far."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.errors import TooLarge
from headrace.web.errors import send_problem
from headrace.web.middleware.request_id import request_id_in

OPEN_DOORS = "/v1/auth/"
OPEN_LIMIT = 16 * 1024  # a MiB of fields that are not known takes 0.4 s to refuse, on the loop that all requests share


class BodyLimit:
    """`unlimited` are paths whose routes bound their bodies themselves. What takes no credential takes little.

    `roomy` is how a path ends whose body may be `room` bytes, where that is more than the limit."""

    def __init__(self, app: ASGIApp, limit: int, unlimited: frozenset[str], *, roomy: str, room: int) -> None:
        self._app = app
        self._limit = limit
        self._unlimited = unlimited
        self._roomy = roomy
        self._room = max(room, limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._unlimited or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(scope["path"])
        if _declared(scope) > limit:
            await send_problem(send, _refusal(limit), request_id_in(scope))
            return
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise _refusal(limit)
            return message

        await self._app(scope, bounded, send)

    def _limit_of(self, path: str) -> int:
        if path.startswith(OPEN_DOORS):
            return min(self._limit, OPEN_LIMIT)
        return self._room if path.endswith(self._roomy) else self._limit


def _refusal(limit: int) -> TooLarge:
    return TooLarge(f"The body may have {limit} bytes here.")


def _has_body(scope: Scope) -> bool:
    return scope["method"] not in ("GET", "HEAD") and any(
        name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]
    )


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:19])  # more digits than that are over any limit too
    return 0
