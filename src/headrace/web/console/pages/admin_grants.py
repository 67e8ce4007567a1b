"""Who may do what on a bucket, on the bucket's page: given by name, changed, taken away and given back."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from starlette.responses import Response

from headrace.errors import NotFound
from headrace.model.permission import may_read_users
from headrace.model.principal import Permission, Principal
from headrace.services import Services
from headrace.web.caller import address_of
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.console.pages.admin_buckets import bucket_page
from headrace.web.console.pages.admin_forms import Form, access_of, typed
from headrace.web.deps import Has

routes = pages("Administration")
_SUGGESTED = 8


@dataclass(frozen=True, slots=True)
class Undo:
    """A grant that was taken away a moment ago."""

    user_id: str
    username: str
    access: str


@routes.get("/admin/part/people")
async def people(request: Request, me: Visitor, services: Has) -> Response:
    """What is typed into the field of a user is completed from these."""
    q = request.query_params.get("who", "").strip()[:100]
    found = await services.users.list(me, None, _SUGGESTED, q) if q and may_read_users(me) else []
    return show(request, "admin/_people.html", people=found)


@routes.post("/admin/buckets/{bucket}/grants")
async def give(request: Request, me: Visitor, services: Has) -> Response:
    form = await typed(request)
    permissions = form.access("access")
    user_id = await _found(services, me, form)
    if form.ok:
        return await _put(request, me, services, form, user_id, permissions)
    return await bucket_page(request, me, services, Form(), form)


@routes.post("/admin/buckets/{bucket}/grants/{user}")
async def change(request: Request, me: Visitor, services: Has) -> Response:
    form = await typed(request)
    permissions = form.access("access")
    if form.ok:
        return await _put(request, me, services, form, request.path_params["user"], permissions)
    return await bucket_page(request, me, services, Form(), form)


@routes.post("/admin/buckets/{bucket}/grants/{user}/remove")
async def remove(request: Request, me: Visitor, services: Has) -> Response:
    """Done at once: the page that follows offers to give it back."""
    bucket, user_id = request.path_params["bucket"], request.path_params["user"]
    form, undo = Form(), None
    with form:
        for grant in await services.grants.list(me, bucket):
            if grant.user_id == user_id:
                undo = Undo(user_id, grant.username, access_of(grant.permissions))
        await services.grants.delete(me, bucket, user_id, address_of(request))
    return await bucket_page(request, me, services, Form(), form, undo=undo if form.ok else None)


async def _put(
    request: Request,
    me: Principal,
    services: Services,
    form: Form,
    user_id: str,
    permissions: frozenset[Permission],
) -> Response:
    bucket = request.path_params["bucket"]
    with form:
        await services.grants.put(me, bucket, user_id, permissions, address_of(request))
        return done(request, f"/admin/buckets/{bucket}", "grant-changed")
    return await bucket_page(request, me, services, Form(), form)


async def _found(services: Services, me: Principal, form: Form) -> str:
    """The id of who was typed: a username or an address; for those who may not read users the id itself."""
    who = form.text("who")
    if not who:
        form.wrong("who", "Say who.")
    elif may_read_users(me):
        try:
            return (await services.users.named(me, who)).id
        except NotFound as exc:
            form.wrong("who", exc.detail)
    return who
