"""The write doors, as a raw ASGI callable in front of FastAPI: it costs 20 µs a request where a FastAPI route with
pydantic costs 115 (ADR 0002). Match, count, limit the address, hand to the door, answer whatever comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from time import perf_counter
from typing import Any

import structlog

from headrace.model.metric import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_FLIGHT
from headrace.services import Services
from headrace.web.body import Budget, ClientGone
from headrace.web.client_address import Network, client_address
from headrace.web.errors import problem
from headrace.web.write_call import JSON_HEADERS, Call, Receive, Scope, WriteDoor

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = structlog.get_logger("headrace.web")


class FastLane:
    """`app` gets everything that is no POST to one of the doors."""

    def __init__(
        self,
        app: App,
        services: Services,
        doors: Sequence[WriteDoor],
        *,
        max_body_bytes: int,
        trusted_proxies: tuple[Network, ...] = (),
    ) -> None:
        """`max_body_bytes` is what all open requests may hold together."""
        self._app = app
        self._services = services
        self._doors = tuple((door, door.place_of) for door in doors)
        self._trusted = trusted_proxies
        self._budget = Budget(max_body_bytes)
        self._open = 0
        services.metrics.watch(REQUESTS_IN_FLIGHT, lambda: self._open)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            path: str = scope["path"]
            for door, place_of in self._doors:
                if (place := place_of(path)) is not None:
                    return await self._serve(door, place, scope, receive, send)
        return await self._app(scope, receive, send)

    async def _serve(self, door: WriteDoor, place: str, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter()
        services = self._services
        self._open += 1
        call = Call(scope, receive, services)
        try:
            with self._budget.share() as call.share:
                if services.gate.limits_addresses:
                    await services.gate.enter_address(client_address(scope, self._trusted))
                status, answer_headers, body = await door.answer(place, call)
        except ClientGone:
            status, answer_headers, body = 499, JSON_HEADERS, b""
        except Exception as exc:  # noqa: BLE001 - every request is answered
            status, answer_headers, body = problem(exc, call.request_id)
            if status == 500:
                _log.exception("request failed", request_id=call.request_id)
        else:
            answer_headers = [*answer_headers, (b"content-length", b"%d" % len(body))]
        finally:
            self._open -= 1
        services.metrics.add(REQUESTS, 1, door.route, "POST", str(status))
        services.metrics.observe(REQUEST_SECONDS, perf_counter() - began, door.route)
        if status != 499:
            answer_headers = [*answer_headers, (b"x-request-id", call.request_id.encode())]
            await send({"type": "http.response.start", "status": status, "headers": answer_headers})
            await send({"type": "http.response.body", "body": body})
