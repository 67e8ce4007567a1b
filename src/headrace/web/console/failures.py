"""Errors as people see them: a page, or for a part of a page a message in its corner. Never a trace."""

from __future__ import annotations

import math
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from headrace.errors import HeadraceError, OverQuota, Retriable, Unauthenticated
from headrace.web.console.render import is_part, render
from headrace.web.errors import MethodNotAllowed, status_of
from headrace.web.middleware.request_id import request_id_in


class _Words(NamedTuple):
    icon: str
    title: str


_SIGNING_IN = "/v1/auth/"  # the way back from an OpenID provider: to begin again at once would go round for ever
_LOST = "No page has this address. A link may be old, or a letter is missing."
_WORDS = {
    400: _Words("warning", "This address is not complete"),
    401: _Words("lock", "This sign-in did not work"),
    403: _Words("lock", "Not for you to see or do"),
    404: _Words("search", "There is nothing here"),
    409: _Words("warning", "Somebody was faster"),
    410: _Words("warning", "This is over"),
    413: _Words("warning", "That is too large"),
    422: _Words("warning", "Something is not right yet"),
    429: _Words("clock", "Too many requests"),
    500: _Words("warning", "Something broke on our side"),
    503: _Words("clock", "Not now"),
}


def show(request: Request, error: HeadraceError) -> Response:
    """The answer for an error. Without a session: off to the sign-in, and then back here."""
    if isinstance(error, Unauthenticated) and not request.url.path.startswith(_SIGNING_IN):
        return to_sign_in(request)
    status = status_of(error)
    words = _WORDS.get(status, _WORDS[500] if status >= 500 else _WORDS[400])
    template = "partials/failure.html" if is_part(request) else "failure.html"
    response = render(
        request, template, status, error=error, icon_name=words.icon, heading=words.title,
        request_id=request_id_in(request.scope) if status >= 500 else "",
        detail=_LOST if error.code == "no-such-path" else error.detail,
        can_repeat=request.method == "GET" and status >= 429,
    )  # fmt: skip
    response.headers.update(_headers(error))
    if is_part(request):
        response.headers.update({"hx-retarget": "#toasts", "hx-reswap": "beforeend"})
    return response


def to_sign_in(request: Request) -> Response:
    """303, or for a part of a page what htmx follows: the whole page has to go."""
    where = f"/sign-in?next={quote(_wanted(request), safe='/')}"
    if is_part(request):
        return Response(status_code=401, headers={"hx-redirect": where})
    return RedirectResponse(where, status_code=303)


def _wanted(request: Request) -> str:
    """The page that is open now."""
    if is_part(request):
        page = urlsplit(request.headers.get("hx-current-url", ""))
        return f"{page.path or '/'}{'?' if page.query else ''}{page.query}"
    if request.method not in ("GET", "HEAD"):
        return "/"
    query = request.url.query
    return f"{request.url.path}{'?' if query else ''}{query}"


def _headers(error: HeadraceError) -> dict[str, str]:
    if isinstance(error, MethodNotAllowed):
        return {"allow": error.allow}
    if isinstance(error, (Retriable, OverQuota)):
        return {"retry-after": str(max(1, math.ceil(error.retry_after)))}
    return {}
