"""Users: found, made, changed and deleted by administrators; read by managers, who hand out grants."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Request
from starlette.responses import Response

from headrace.errors import Forbidden
from headrace.model.account import User
from headrace.model.permission import may_read_users, require_admin
from headrace.model.principal import Principal, Role
from headrace.services import Services
from headrace.web.caller import address_of
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.console.pages.admin_forms import Form, typed
from headrace.web.deps import Has

routes = pages("Administration")
_PAGE = 50
_KEYS = 100
_MOST = 2**53 - 1


@routes.get("/admin/users")
async def every(request: Request, me: Visitor, services: Has) -> Response:
    q = request.query_params.get("q", "").strip()[:256]
    after = request.query_params.get("after", "")[:64] or None
    found = await services.users.list(me, after, _PAGE + 1, q or None)
    return show(
        request, "admin/users.html", users=found[:_PAGE], q=q, is_first=after is None,
        after=found[_PAGE - 1].id if len(found) > _PAGE else None,
    )  # fmt: skip


@routes.get("/admin/users/new")
async def new(request: Request, me: Visitor) -> Response:
    require_admin(me)
    return show(request, "admin/new_user.html", form=Form())


@routes.post("/admin/users/new")
async def make(request: Request, me: Visitor, services: Has) -> Response:
    """The answer shows the set-up link, and nothing shows it again."""
    form = await typed(request)
    with form:
        user, link = await services.users.create(
            me,
            username=form.text("username"),
            email=form.maybe("email"),
            role=_role(form),
            password=None,
            verified=True,
            first_name=form.maybe("first_name"),
            last_name=form.maybe("last_name"),
            address=address_of(request),
        )
        return show(request, "admin/setup_link.html", 201, user=user, link=link, is_new=True)
    return show(request, "admin/new_user.html", 422, form=form)


@routes.get("/admin/users/{id}")
async def one(request: Request, me: Visitor, services: Has) -> Response:
    return await _user_page(request, me, services, Form())


@routes.post("/admin/users/{id}/settings")
async def change(request: Request, me: Visitor, services: Has) -> Response:
    form = await typed(request)
    wanted: dict[str, object] = {
        "role": _role(form),
        "first_name": form.maybe("first_name"),
        "last_name": form.maybe("last_name"),
        "quota": {
            "events_per_second": form.number("events_per_second", _MOST, "for no limit"),
            "bytes_per_day": form.size("bytes_per_day"),
        },
    }
    if form.text("email"):  # an address cannot be taken away
        wanted["email"] = form.text("email")
    return await _changed(request, me, services, form, wanted, "user-changed")


@routes.post("/admin/users/{id}/disable")
async def disable(request: Request, me: Visitor, services: Has) -> Response:
    return await _changed(request, me, services, Form(), {"disabled": True}, "user-disabled")


@routes.post("/admin/users/{id}/enable")
async def enable(request: Request, me: Visitor, services: Has) -> Response:
    return await _changed(request, me, services, Form(), {"disabled": False}, "user-enabled")


@routes.post("/admin/users/{id}/verify")
async def verify(request: Request, me: Visitor, services: Has) -> Response:
    return await _changed(request, me, services, Form(), {"verified": True}, "user-changed")


@routes.post("/admin/users/{id}/setup-link")
async def set_up(request: Request, me: Visitor, services: Has) -> Response:
    user_id, form = request.path_params["id"], Form()
    with form:
        link = await services.users.set_up(me, user_id, address_of(request))
        user = await services.users.get(me, user_id)
        return show(request, "admin/setup_link.html", 201, user=user, link=link, is_new=False)
    return await _user_page(request, me, services, form)


@routes.get("/admin/users/{id}/delete")
async def ask_delete(request: Request, me: Visitor, services: Has) -> Response:
    return await _delete_page(request, me, services, Form())


@routes.post("/admin/users/{id}/delete")
async def delete(request: Request, me: Visitor, services: Has) -> Response:
    form = Form()
    with form:
        await services.users.delete(me, request.path_params["id"], address_of(request))
        return done(request, "/admin/users", "user-deleted")
    return await _delete_page(request, me, services, form)


async def _changed(
    request: Request, me: Principal, services: Services, form: Form, wanted: Mapping[str, object], what: str
) -> Response:
    user_id = request.path_params["id"]
    if form.ok:
        with form:
            await services.users.change(me, user_id, wanted, address_of(request))
            return done(request, f"/admin/users/{user_id}", what)
    return await _user_page(request, me, services, form)


async def _user_page(request: Request, me: Principal, services: Services, form: Form) -> Response:
    user = await _managed(request, me, services)
    is_admin = me.role is Role.ADMIN
    return show(
        request, "admin/user.html", 200 if form.ok else 422, user=user, form=form, is_admin=is_admin,
        grants=await services.grants.of_user(me, user.id),
        keys=await services.keys.list(me, None, _KEYS, user.id) if is_admin else None,
    )  # fmt: skip


async def _delete_page(request: Request, me: Principal, services: Services, form: Form) -> Response:
    require_admin(me)
    user = await services.users.get(me, request.path_params["id"])
    keys = await services.keys.list(me, None, _KEYS, user.id)
    grants = await services.grants.of_user(me, user.id)
    return show(
        request, "admin/delete_user.html", 200 if form.ok else 422, user=user, keys=keys, grants=grants, form=form
    )


async def _managed(request: Request, me: Principal, services: Services) -> User:
    """Users find themselves under /account."""
    if not may_read_users(me):
        raise Forbidden("Only a user of the role manager or an administrator may look at users.")
    return await services.users.get(me, request.path_params["id"])


def _role(form: Form) -> Role:
    return Role(form.get("role")) if form.get("role") in list(Role) else Role.USER
