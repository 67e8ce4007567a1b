"""One's own account: who one is, one's name and address, the password, and signing out."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.render import render

routes = pages("Account")


@routes.get("/account")
async def account(request: Request, me: Visitor, services: Has) -> Response:
    return render(request, "account.html", user=await services.users.me(me))
