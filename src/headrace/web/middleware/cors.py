"""Lets pages of chosen origins read events with a token in a header, and nothing else (Fetch standard, CORS).

Never with cookies: no answer says Access-Control-Allow-Credentials, so that a page can use only what it was given.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.errors import Unusable

_READS = re.compile(r"/v1/buckets/[^/]+/(?:events(?:/[^/]+)?|histogram|facets|tail|export)")
_ORIGIN = re.compile(r"https?://(?:[a-z0-9-]+(?:\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.ASCII)
_DEFAULT_PORT = re.compile(r"(?<=^http)(://.*):80$|(?<=^https)(://.*):443$")  # browsers leave it out

_VARY = (b"vary", b"origin")
_EXPOSED = (
    b"access-control-expose-headers",
    b"content-disposition, ratelimit, ratelimit-policy, retry-after, x-request-id",
)
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET"),
    (b"access-control-allow-headers", b"authorization, last-event-id"),
    (b"access-control-max-age", b"7200"),  # the most that Chromium keeps
    (b"vary", b"origin, access-control-request-method, access-control-request-headers"),
]


def parse_origins(text: str, setting: str = "HEADRACE_CORS_ORIGINS") -> frozenset[bytes]:
    """The origins of a list with commas, as browsers send them. Raises Unusable, which names the setting."""
    origins = [part.strip() for part in text.split(",") if part.strip()]
    return frozenset(_parse(origin, setting).encode() for origin in origins)


def _parse(text: str, setting: str) -> str:
    origin = text.lower().removesuffix("/")
    if not _ORIGIN.fullmatch(origin):
        raise Unusable(
            f"a setting is wrong: {setting}: {text[:100]!r} is no origin. Write scheme, host and port, "
            "such as https://app.example.com or http://localhost:3000; name each one, * is not taken."
        )
    return _DEFAULT_PORT.sub(lambda match: match[1] or match[2], origin)


class Cors:
    def __init__(self, app: ASGIApp, origins: frozenset[bytes]) -> None:
        self._app = app
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _READS.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        origin = _header(scope, b"origin")
        allowed = [(b"access-control-allow-origin", origin)] if origin in self._origins else []
        if allowed and scope["method"] == "OPTIONS" and _header(scope, b"access-control-request-method") == b"GET":
            await send({"type": "http.response.start", "status": 204, "headers": [*allowed, *_PREFLIGHT]})
            await send({"type": "http.response.body", "body": b""})
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["method"] in ("GET", "HEAD"):
                extra = [*allowed, _EXPOSED, _VARY] if allowed else [_VARY]
                message["headers"] = [*message["headers"], *extra]
            await send(message)

        await self._app(scope, receive, marked)


def _header(scope: Scope, wanted: bytes) -> bytes:
    return next((value for name, value in scope["headers"] if name == wanted), b"")
