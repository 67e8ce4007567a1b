"""The pages that the links in mail lead to. Looking at one changes nothing: mail programs open links too. Its script
takes the token out of the address bar and sends it in a body when the button is pressed."""

from __future__ import annotations

from typing import NamedTuple

from fastapi import Request
from starlette.responses import Response

from headrace.web.console.page import OPEN, pages
from headrace.web.console.render import POLICY, render

routes = pages("Signing in")

_HEADERS = {
    "content-security-policy": POLICY.replace("form-action 'self'", "form-action 'none'"),
    "referrer-policy": "no-referrer",  # the token is in the address until the script has run
}


class _Link(NamedTuple):
    page: str
    title: str
    intro: str
    button: str
    chooses: bool
    """A new password."""


_VERIFY = _Link(
    "verify", "Confirm your e-mail address",
    "Somebody registered with this address. If it was you, confirm; if not, close this page: nothing happens.",
    "Confirm", chooses=False,
)  # fmt: skip
_RESET = _Link(
    "reset-password", "Choose a new password",
    "You will be signed out everywhere, and can sign in with the new password at once.",
    "Set the new password", chooses=True,
)  # fmt: skip
_SET_UP = _Link(
    "set-up", "Set up your account",
    "An administrator made an account for you. Choose its password; nobody else will know it.",
    "Set the password", chooses=True,
)  # fmt: skip


@routes.get("/verify", openapi_extra=OPEN)
async def verify(request: Request) -> Response:
    return _page(request, _VERIFY)


@routes.get("/reset-password", openapi_extra=OPEN)
async def reset_password(request: Request) -> Response:
    return _page(request, _RESET)


@routes.get("/set-up", openapi_extra=OPEN)
async def set_up(request: Request) -> Response:
    return _page(request, _SET_UP)


def _page(request: Request, link: _Link) -> Response:
    answer = render(request, "link.html", link=link)
    answer.headers.update(_HEADERS)
    return answer
