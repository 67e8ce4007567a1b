"""Error → HTTP answer: one table, and one shape (`application/problem+json`, RFC 9457) for every door.

`problem` makes the status, headers and bytes; the raw ASGI doors send them as they are, FastAPI through `install`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Send

from headrace import errors
from headrace.errors import HeadraceError, ItemError
from headrace.web.middleware.request_id import request_id_in

STATUS: dict[type[HeadraceError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.TooLarge: 413,
    errors.Unsupported: 415,
    errors.Invalid: 422,
    errors.OverQuota: 429,
    errors.Unavailable: 503,
    errors.Unusable: 503,
    HeadraceError: 500,
}
"""An error has the status of its nearest ancestor here."""

_BY_STATUS = {status: kind for kind, status in reversed(STATUS.items())}
SHOW_KEY = "headrace.show_error"
"""In the scope of a request that people make: what shows them an error, in place of a problem document."""
MOST_ITEMS = 100  # errors spelled out in one answer (API.md); the client mends those first


class MethodNotAllowed(HeadraceError):
    """The path is there, but not with this method. Only HTTP knows this error; `allow` lists the methods."""

    code = "method-not-allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(f"This path takes {allow}.")
        self.allow = allow


STATUS[MethodNotAllowed] = 405


class Problem(NamedTuple):
    """What to send: the status, the headers (names in lower case) and the body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def problem(error: BaseException, request_id: str = "", **members: object) -> Problem:
    """The answer for any error; what is not a HeadraceError becomes a 500 that names only the request.

    `members` are extension members of the problem (RFC 9457, 3.2).
    """
    error = expected(error, request_id)
    status = status_of(error)
    document: dict[str, object] = {
        "type": f"/problems/{error.code}",
        "title": error.code.replace("-", " ").capitalize(),
        "status": status,
        "detail": _clean(error.detail),
    }
    if error.items:
        document["errors"] = items(error.items)
    document.update(members)
    body = msgspec.json.encode(document)
    return Problem(status, _headers(error, body), body)


def expected(error: BaseException, request_id: str) -> HeadraceError:
    """Itself, or one that names only the request."""
    if isinstance(error, HeadraceError):
        return error
    return HeadraceError(_unexpected(request_id), code="internal-error")


def status_of(error: HeadraceError) -> int:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def items(errors: Iterable[ItemError]) -> list[dict[str, object]]:
    """`{"index"|"field", "code", "detail"}` of the first hundred."""
    out: list[dict[str, object]] = []
    for error in errors:
        entry: dict[str, object] = {}
        if error.index is not None:
            entry["index"] = error.index
        if error.field is not None:
            entry["field"] = _clean(error.field)
        out.append(entry | {"code": error.code, "detail": _clean(error.detail)})
        if len(out) == MOST_ITEMS:
            break
    return out


async def send_problem(send: Send, error: BaseException, request_id: str = "") -> int:
    """Answer a raw ASGI request with the problem; returns its status."""
    status, headers, body = problem(error, request_id)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status


def _headers(error: HeadraceError, body: bytes) -> list[tuple[bytes, bytes]]:
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    if isinstance(error, errors.Retriable):
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(error.retry_after))))
    if isinstance(error, errors.OverQuota) and error.policy:
        headers += _rate_limit(error)
    if isinstance(error, errors.Unauthenticated):
        headers.append((b"www-authenticate", b'Bearer realm="headrace"'))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    return headers


def _rate_limit(error: errors.OverQuota) -> list[tuple[bytes, bytes]]:
    """Which limit it was and how it stands (draft-ietf-httpapi-ratelimit-headers-10, 3 and 4)."""
    unit = f';qu="{error.unit}"' if error.unit else ""
    policy = f'"{error.policy}";q={error.quota}{unit};w={error.window}'
    state = f'"{error.policy}";r={error.remaining};t={max(1, math.ceil(error.reset))}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]


def _unexpected(request_id: str) -> str:
    told = f" (request {request_id})" if request_id else ""
    return f"Something went wrong on our side{told}. It is in the server's log; try again, or report it."


def _clean(text: str) -> str:
    """Text that came from outside may hold lone surrogates, which UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


# --- FastAPI ------------------------------------------------------------------------------------------------------


def install(app: FastAPI) -> None:
    """Every error that leaves a route, or that the framework makes itself, becomes a problem."""
    app.add_exception_handler(HeadraceError, _on_headrace_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected)


def problem_response(request: Request, error: BaseException, **members: object) -> Response:
    show: Callable[[Request, HeadraceError], Response] | None = request.scope.get(SHOW_KEY)
    if show is not None:
        return show(request, expected(error, request_id_in(request.scope)))
    status, headers, body = problem(error, request_id_in(request.scope), **members)
    response = Response(body, status)
    response.raw_headers = headers
    return response


async def _on_headrace_error(request: Request, exc: Exception) -> Response:
    return problem_response(request, exc)


async def _on_unexpected(request: Request, exc: Exception) -> Response:
    # Starlette raises it again after this answer, and the access log writes the trace, once.
    return problem_response(request, exc)


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    if isinstance(exc.__cause__, HeadraceError):  # FastAPI turns what `receive` raises into a 400 of its own
        return problem_response(request, exc.__cause__)
    if exc.status_code == 405:
        return _method_not_allowed(request)
    error = from_http(exc)
    if exc.status_code == 404:
        if "POST" in request.app.state.methods_of(request.scope["path"]):  # a write door, which the routes do not know
            return _method_not_allowed(request)
        return await _nothing_there(request, error)
    return problem_response(request, error)


async def _nothing_there(request: Request, error: HeadraceError) -> Response:
    state = request.app.state
    if state.not_here is not None:  # this process has only some doors
        return problem_response(request, errors.NotFound(state.not_here, code=error.code))
    if _is_looked_at(request):
        lost: Response = await state.show_lost(request, error)
        return lost
    return problem_response(request, error)


def _is_looked_at(request: Request) -> bool:
    """Whether somebody typed it into a browser. Whoever calls the API gets problems, whatever they accept."""
    return not request.url.path.startswith("/v1/") and "text/html" in request.headers.get("accept", "")


def from_http(exc: HTTPException) -> HeadraceError:
    """The framework's own refusals: no such path, a body it cannot read."""
    kind = _BY_STATUS.get(exc.status_code, HeadraceError)
    if kind is errors.NotFound:
        return errors.NotFound("There is nothing at this path: see /docs for those there are.", code="no-such-path")
    if kind is errors.Malformed:
        return errors.Malformed("The body cannot be read.")
    if issubclass(kind, errors.Retriable):
        return kind(str(exc.detail), retry_after=1.0)
    return kind(str(exc.detail))


def _method_not_allowed(request: Request) -> Response:
    allow = ", ".join(request.app.state.methods_of(request.scope["path"]))
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": allow})
    return problem_response(request, MethodNotAllowed(allow))


async def _on_validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    return problem_response(request, from_validation(exc.errors()))


def from_validation(found: Iterable[Mapping[str, Any]]) -> HeadraceError:
    """A bad parameter, or a body that is no JSON, cannot be parsed (400); a wrong field is not valid (422)."""
    reasons = [(reason["loc"], reason["type"], _item(reason)) for reason in found]
    for place, kind, item in reasons:
        if place[0] != "body":
            return errors.Malformed(f"The {place[0]} parameter {item.field} is not valid.", items=[item])
        if kind == "json_invalid":
            return errors.Malformed("The body is not JSON.", items=[item])
        if kind == "missing" and len(place) == 1:
            return errors.Malformed("The body is missing.")
    return errors.Invalid("The body has fields that are not valid.", items=[item for _, _, item in reasons])


def _item(reason: Mapping[str, Any]) -> ItemError:
    """Names the place and the rule, never the value: it may be a secret, or a megabyte."""
    place = ".".join(str(part) for part in reason["loc"][1:]) or str(reason["loc"][0])
    return ItemError(code=str(reason["type"]).replace("_", "-"), detail=str(reason["msg"]), field=place[:200])
