"""Asking for a link to choose a new password. The answer is the same for addresses that nobody has."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form, Request
from starlette.responses import Response

from headrace.errors import HeadraceError, Invalid, OverQuota
from headrace.web.caller import address_of
from headrace.web.console.page import OPEN, Has, pages
from headrace.web.console.render import render
from headrace.web.errors import status_of

routes = pages("Signing in")
_LONGEST = 1_024


@routes.get("/forgot-password", openapi_extra=OPEN)
async def forgotten(request: Request) -> Response:
    return _form(request)


@routes.post("/forgot-password", openapi_extra=OPEN)
async def ask(request: Request, services: Has, email: Annotated[str, Form()] = "") -> Response:
    try:
        await services.registration.ask_reset(email[:_LONGEST], address_of(request))
    except (Invalid, OverQuota) as exc:
        return _form(request, exc, email[:_LONGEST])
    return render(request, "forgotten.html", error=None, email=email, is_sent=True)


def _form(request: Request, error: HeadraceError | None = None, email: str = "") -> Response:
    status = 200 if error is None else status_of(error)
    answer = render(request, "forgotten.html", status, error=error, email=email, is_sent=False)
    if isinstance(error, OverQuota):
        answer.headers["retry-after"] = str(round(error.retry_after) or 1)
    return answer
