"""One's own account: who one is, one's name and address, the password."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Form, Request
from pydantic import SecretStr
from starlette.responses import RedirectResponse, Response

from headrace.errors import Conflict, Forbidden, HeadraceError, Invalid, OverQuota
from headrace.model.account import User
from headrace.web.caller import address_of
from headrace.web.console import session
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.render import render
from headrace.web.errors import status_of

routes = pages("Account")
_NOTHING = SecretStr("")
_FIELD_OF = {"email-taken": "email", "wrong-password": "current_password"}
"""Which field an error is about that says so by its code."""


@routes.get("/account")
async def account(request: Request, me: Visitor, services: Has) -> Response:
    return _page(request, await services.users.me(me), saved=request.query_params.get("saved"))


@routes.post("/account/profile")
async def change_profile(
    request: Request,
    me: Visitor,
    services: Has,
    email: Annotated[str, Form()] = "",
    first_name: Annotated[str, Form()] = "",
    last_name: Annotated[str, Form()] = "",
    current_password: Annotated[SecretStr, Form()] = _NOTHING,
) -> Response:
    user = await services.users.me(me)
    given = {"first_name": first_name.strip() or None, "last_name": last_name.strip() or None}
    if email.strip() or user.email:
        given["email"] = email
    if secret := current_password.get_secret_value():
        given["current_password"] = secret
    try:
        await services.users.change_me(me, given, address_of(request))
    except (Invalid, Forbidden, Conflict, OverQuota) as exc:
        return _page(request, user, exc, "profile", {**given, "email": email})
    return RedirectResponse("/account?saved=profile", status_code=303)


@routes.post("/account/password")
async def change_password(
    request: Request,
    me: Visitor,
    services: Has,
    password: Annotated[SecretStr, Form()] = _NOTHING,
    current_password: Annotated[SecretStr, Form()] = _NOTHING,
) -> Response:
    """It ends all sessions; this browser, which has just shown the password, gets a new one."""
    given = {
        "password": password.get_secret_value(),
        "current_password": current_password.get_secret_value() or None,
    }
    address = address_of(request)
    try:
        user = await services.users.change_me(me, given, address)
    except (Invalid, Forbidden, Conflict, OverQuota) as exc:
        return _page(request, await services.users.me(me), exc, "password")
    answer = RedirectResponse("/account?saved=password", status_code=303)
    session.put(answer, request, await services.browser.begin(user, address, "password"))
    return answer


def _page(
    request: Request,
    user: User,
    error: HeadraceError | None = None,
    form: str | None = None,
    given: Mapping[str, object] | None = None,
    saved: str | None = None,
) -> Response:
    known = {"email": user.email, "first_name": user.first_name, "last_name": user.last_name}
    return render(
        request,
        "account.html",
        200 if error is None else status_of(error),
        user=user,
        values={**known, **(given or {})},
        form=form,
        error=error,
        wrong=_by_field(error),
        saved=saved,
    )


def _by_field(error: HeadraceError | None) -> dict[str, str]:
    """What to say beside which field."""
    if error is None:
        return {}
    if error.code in _FIELD_OF:
        return {_FIELD_OF[error.code]: error.detail}
    return {item.field: item.detail for item in error.items if item.field is not None}
