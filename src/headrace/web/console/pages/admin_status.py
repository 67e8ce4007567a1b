"""How the server is doing, and what it promises, in words."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.model.permission import require_admin
from headrace.model.principal import Principal, Role
from headrace.services import Services
from headrace.web.caller import address_of
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.deps import Has

routes = pages("Administration")


@routes.get("/admin/status")
async def status(request: Request, me: Visitor, services: Has) -> Response:
    return await _page(request, me, services, "admin/status.html")


@routes.get("/admin/part/status")
async def figures(request: Request, me: Visitor, services: Has) -> Response:
    """The figures alone, asked for every few seconds."""
    return await _page(request, me, services, "admin/_figures.html")


@routes.get("/admin/status/signing-key")
async def ask_rotate(request: Request, me: Visitor) -> Response:
    require_admin(me)
    return show(request, "admin/rotate_key.html")


@routes.post("/admin/status/signing-key")
async def rotate(request: Request, me: Visitor, services: Has) -> Response:
    require_admin(me)
    await services.tokens.rotate(me, address_of(request))
    return done(request, "/admin/status", "signing-key-rotated")


async def _page(request: Request, me: Principal, services: Services, name: str) -> Response:
    health = await services.health.status()
    parts = (await services.health.ready()).parts
    return show(
        request, name, health=health, parts=parts, problems=health.get("problems", {}), is_admin=me.role is Role.ADMIN
    )
