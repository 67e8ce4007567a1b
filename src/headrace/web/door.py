"""The route class of every JSON door: stricter and earlier than FastAPI is by itself.

In this order: who is asking (401 before anything else is looked at), no parameter that we do not know (400), no
content type or encoding that we do not know (415). Only then FastAPI reads the body and calls the route.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import StreamingResponse
from starlette.routing import Match

from headrace.errors import Unsupported
from headrace.web.deps import authenticate
from headrace.web.params import ATTRIBUTES, Param, check_names, pairs_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Door(APIRoute):
    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        extra = self.openapi_extra or {}
        known = frozenset(parameter["name"] for parameter in extra.get("parameters", ()) if parameter["in"] == "query")
        takes_attributes = ATTRIBUTES.name in known
        known -= {ATTRIBUTES.name}
        is_open = extra.get("security") == []
        types = frozenset(extra.get("requestBody", {}).get("content", ["application/json"] if self.body_field else []))

        async def checked(request: Request) -> Response:
            if not is_open:
                await authenticate(request)
            if request.scope["query_string"]:
                check_names(pairs_of(request), known, takes_attributes)
            if types:
                _check_type(request, types)
            return await handle(request)

        return checked

    # A HEAD is answered by the route of GET, and the server leaves the body out. Not where GET streams for ever.

    def matches(self, scope: MutableMapping[str, Any]) -> tuple[Match, MutableMapping[str, Any]]:
        if self._answers_head(scope):
            match, child = super().matches({**scope, "method": "GET"})
            return match, child
        return super().matches(scope)

    async def handle(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        if self._answers_head(scope):
            await self.app(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def _answers_head(self, scope: MutableMapping[str, Any]) -> bool:
        return scope.get("method") == "HEAD" and "HEAD" in self.all_methods

    @property
    def all_methods(self) -> frozenset[str]:
        """The methods that this path takes through this route."""
        methods = frozenset(self.methods or ())
        streams = self.response_class is StreamingResponse
        return methods | {"HEAD"} if "GET" in methods and not streams else methods


def _check_type(request: Request, types: frozenset[str]) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Unsupported(f"Content-Encoding {encoding[:60]!r} is not taken here: send the body as it is.")
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if sent not in types:
        raise Unsupported(f"Content-Type {sent[:60]!r} is not taken here: send {' or '.join(sorted(types))}.")


def router(tag: str) -> APIRouter:
    return APIRouter(route_class=Door, tags=[tag])


def documented(
    *params: Param[Any], path: Sequence[dict[str, Any]] = (), is_open: bool = False, **more: Any
) -> dict[str, Any]:
    """For `openapi_extra` of a route: its parameters (in the query; in the path), and whether it is open to all."""
    extra: dict[str, Any] = dict(more)
    if params or path:
        extra["parameters"] = [*path, *(param.documented() for param in params)]
    if is_open:
        extra["security"] = []
    return extra
