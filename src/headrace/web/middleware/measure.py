"""Counts requests, their time, their errors and how many are open, by the route's template."""

from __future__ import annotations

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.model.metric import REQUEST_SECONDS, REQUESTS, REQUESTS_IN_FLIGHT
from headrace.services import Services

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
NO_ANSWER = 499  # nginx's number for a client that hung up before it was answered


class Measure:
    def __init__(self, app: ASGIApp, services: Services) -> None:
        self._app = app
        self._metrics = services.metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = NO_ANSWER
        began = perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._metrics.add(REQUESTS_IN_FLIGHT)
        try:
            await self._app(scope, receive, note)
        finally:
            route = template(scope)
            method = scope["method"] if scope["method"] in METHODS else "other"
            self._metrics.add(REQUESTS_IN_FLIGHT, -1)
            self._metrics.add(REQUESTS, 1, route, method, str(status))
            self._metrics.observe(REQUEST_SECONDS, perf_counter() - began, route)


def template(scope: Scope) -> str:
    """`/v1/buckets/{bucket}`: one series for a route, never one for a path that a client made up."""
    route = scope.get("route")
    path: str = getattr(route, "path_format", "") or getattr(route, "path", "unmatched")
    return path
