"""Dead letters: what was acknowledged and could not be stored, why, and the button that tries it again."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request
from starlette.responses import Response

from headrace.errors import Malformed
from headrace.kit.ids import format_id
from headrace.model.permission import require_admin
from headrace.model.principal import Principal
from headrace.services import Services
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.console.pages.admin_forms import Form, typed
from headrace.web.deps import Has

routes = pages("Administration")
_PAGE = 25
_SHOWN = 20_000  # characters of a payload in the page; the API has all of it


@dataclass(frozen=True, slots=True)
class Letter:
    id: str
    bucket: str | None
    reason: str
    received_at: int
    payload: str
    is_cut: bool


@routes.get("/admin/dead-letters")
async def every(request: Request, me: Visitor, services: Has) -> Response:
    require_admin(me)
    return await _page(request, me, services, Form())


@routes.post("/admin/dead-letters/replay")
async def replay(request: Request, me: Visitor, services: Has) -> Response:
    """`which`: those that are checked, all, or the id of one."""
    require_admin(me)
    form = await typed(request)
    which = form.get("which")
    with form:
        if which == "all":
            replayed = await services.dead_letters.replay(me, None, 0)
        elif ids := form.all("id") if which == "checked" else [which]:
            replayed = await services.dead_letters.replay(me, ids, None)
        else:
            raise Malformed("Check those that are to be tried again.")
        return done(request, "/admin/dead-letters", "letters-replayed", replayed)
    return await _page(request, me, services, form)


async def _page(request: Request, me: Principal, services: Services, form: Form) -> Response:
    buckets = await services.buckets.list(me)
    names = {bucket.id: bucket.name for bucket in buckets}
    wanted = request.query_params.get("bucket", "")
    found = await services.dead_letters.list(
        bucket_id=next((bucket.id for bucket in buckets if bucket.name == wanted), None),
        since=None,
        limit=_PAGE,
        cursor=request.query_params.get("after") or None,
    )
    letters = []
    for letter in found.letters:
        payload = services.dead_letters.shown(letter)
        letters.append(
            Letter(
                id=format_id(letter.id),
                bucket=None if letter.bucket_id is None else names.get(letter.bucket_id),
                reason=letter.reason,
                received_at=letter.received_at,
                payload=payload[:_SHOWN],
                is_cut=len(payload) > _SHOWN,
            )
        )
    return show(
        request, "admin/dead_letters.html", 200 if form.ok else 422, letters=letters, form=form, buckets=buckets,
        wanted=wanted if wanted in names.values() else "", after=found.next_cursor,
        is_first="after" not in request.query_params,
    )  # fmt: skip
