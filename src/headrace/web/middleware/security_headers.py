"""Headers that keep browsers from guessing and embedding. Pages set a policy of their own, looser than this one."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_STRICTEST = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_PRIVATE = (b"cache-control", b"no-store")


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                extra = [header for header in (_STRICTEST, _PRIVATE) if header[0] not in names]
                message["headers"] = [*message["headers"], *_HEADERS, *extra]
            await send(message)

        await self._app(scope, receive, guarded)
