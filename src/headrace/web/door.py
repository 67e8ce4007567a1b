"""The route class of every JSON door: stricter and earlier than FastAPI is by itself.

In this order: who is asking (401 before anything else is looked at), no parameter that we do not know (400), no
content type or encoding that we do not know (415). Only then FastAPI reads the body and calls the route.

Where no credential is needed the route says so: `documented(is_open=True)`, or `security` with an empty choice in it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, MutableMapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.responses import StreamingResponse
from starlette.routing import Match

from headrace.errors import Unsupported
from headrace.web.deps import FOR_VIEWERS_KEY, authenticate, limit_address
from headrace.web.param import Param, pairs_of
from headrace.web.params import ATTRIBUTES, check_names

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Route(APIRoute):
    """A HEAD is answered by the route of GET, and the server leaves the body out. Not where GET streams for ever."""

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


class Door(Route):
    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()
        extra = self.openapi_extra or {}
        known = frozenset(parameter["name"] for parameter in extra.get("parameters", ()) if parameter["in"] == "query")
        takes_attributes = ATTRIBUTES.name in known
        known -= {ATTRIBUTES.name}
        is_open = "security" in extra and (extra["security"] == [] or {} in extra["security"])
        strict = extra.get(UNKNOWN) != "ignored"
        types = frozenset(extra.get("requestBody", {}).get("content", self._body_type()))
        may_be_empty = self._may_be_empty(extra)
        for_viewers = extra.get(FOR_VIEWERS) is True

        async def checked(request: Request) -> Response:
            request.scope[FOR_VIEWERS_KEY] = for_viewers
            if is_open:
                await limit_address(request)
            else:
                await authenticate(request)
            if strict and request.scope["query_string"]:
                check_names(pairs_of(request), known, takes_attributes)
            if types and not (may_be_empty and _is_empty(request)):
                _check_type(request, types)
            return await handle(request)

        return checked

    def _body_type(self) -> list[str]:
        if self.body_field is None:
            return []
        return [getattr(self.body_field.field_info, "media_type", "application/json")]

    def _may_be_empty(self, extra: dict[str, Any]) -> bool:
        if "requestBody" in extra:
            return not extra["requestBody"].get("required", False)
        return self.body_field is not None and not self.body_field.field_info.is_required()


def _is_empty(request: Request) -> bool:
    headers = request.headers
    chunked, length = "transfer-encoding" in headers, headers.get("content-length", "0")
    return not chunked and length == "0" and "content-type" not in headers


def _check_type(request: Request, types: frozenset[str]) -> None:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise Unsupported(f"Content-Encoding {encoding[:60]!r} is not taken here: send the body as it is.")
    sent = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if sent not in types:
        raise Unsupported(f"Content-Type {sent[:60]!r} is not taken here: send {' or '.join(sorted(types))}.")


UNKNOWN = "x-unknown-parameters"
"""In a route's `openapi_extra`: `ignored` where somebody else chooses the parameters and may add to them (an OpenID
provider: RFC 6749, 4.1.2; a mail program)."""
FOR_VIEWERS = "x-viewer-tokens"
"""In a route's `openapi_extra`: true where a viewer token is taken. Everywhere else it is refused (web/deps.py)."""


def router(tag: str) -> APIRouter:
    return APIRouter(route_class=Door, tags=[tag])


def documented(
    *params: Param[Any],
    path: Sequence[dict[str, Any]] = (),
    is_open: bool = False,
    for_viewers: bool = False,
    strict: bool = True,
    **more: Any,
) -> dict[str, Any]:
    """For `openapi_extra` of a route: its parameters (in the query; in the path), and whether it is open to all, or to
    viewer tokens as well: only where all that it answers comes through a View. Not `strict`: parameters that we do not
    know are ignored."""
    extra: dict[str, Any] = dict(more)
    if for_viewers:
        extra[FOR_VIEWERS] = True
    if params or path:
        extra["parameters"] = [*path, *(param.documented() for param in params)]
    if is_open:
        extra["security"] = []
    if not strict:
        extra[UNKNOWN] = "ignored"
    return extra
