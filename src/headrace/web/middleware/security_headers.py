"""Headers that keep browsers from guessing and embedding. Pages set policies of their own, looser than these."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ALWAYS = [(b"x-content-type-options", b"nosniff")]
_UNLESS_SET = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]
_FRAMES = (b"x-frame-options", b"DENY")


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = dict(message["headers"])
                extra = [header for header in _UNLESS_SET if header[0] not in given]
                if not _may_be_framed(given):
                    extra.append(_FRAMES)
                message["headers"] = [*message["headers"], *_ALWAYS, *extra]
            await send(message)

        await self._app(scope, receive, guarded)


def _may_be_framed(given: dict[bytes, bytes]) -> bool:
    """Where a policy names those who may, the old header, which cannot, would forbid it to them in old browsers."""
    policy = given.get(b"content-security-policy", b"")
    return b"frame-ancestors" in policy and b"frame-ancestors 'none'" not in policy
