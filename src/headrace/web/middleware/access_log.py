"""One line for each request, in ECS names; the trace of what nobody expected. Never a query string, never a header."""

from __future__ import annotations

import logging
from time import perf_counter_ns

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger("headrace.access")
_QUIET = frozenset(("/health/live", "/health/ready", "/metrics"))  # asked every few seconds, for ever


class AccessLog:
    """Errors end here: what could be sent was sent, and the server closes a connection that was cut short."""

    def __init__(self, app: ASGIApp, *, everything: bool) -> None:
        """`everything`: a line for each request, not only for those that failed here."""
        self._app = app
        self._everything = everything

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        began = perf_counter_ns()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        failure: Exception | None = None
        try:
            await self._app(scope, receive, note)
        except Exception as exc:  # noqa: BLE001 - here is where they end
            failure = exc
        finally:
            if self._everything or failure:
                _write(scope, status, perf_counter_ns() - began, failure)


def _write(scope: Scope, status: int, nanoseconds: int, failure: Exception | None) -> None:
    level = logging.ERROR if failure else logging.INFO
    if not failure and scope["path"] in _QUIET and status < 400:
        return
    client = scope.get("client")
    fields = {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        "http.response.status_code": status,
        "event.duration": nanoseconds,
        "client.ip": client[0] if client else "",
    }
    if (principal := scope.get("headrace.principal")) is not None:
        fields["user.id"] = principal.id
    _log.log(level, "request answered", extra=fields, exc_info=failure)
