"""Saved searches of a bucket: the menu of Explore, and the links that open them."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, unquote_plus

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from headrace.errors import Conflict, Invalid, Malformed
from headrace.model.principal import Principal
from headrace.model.view import View
from headrace.services import Services
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.explore.marks import visible
from headrace.web.console.pages.explore.state import read_state
from headrace.web.console.render import is_part, render
from headrace.web.deps import Has, Readable

routes = pages("Explore")


@routes.get("/explore/{bucket}/part/saved")
async def saved(request: Request, view: Readable, visitor: Visitor, services: Has) -> Response:
    """The list in the menu: one's own, and what others share."""
    return await _menu(request, view, visitor, services)


@routes.post("/explore/{bucket}/saved")
async def save(request: Request, view: Readable, visitor: Visitor, services: Has) -> Response:
    """Keep the search that the page shows."""
    typed = await request.form()
    name, query, shared = str(typed.get("name", "")), str(typed.get("query", "")), "shared" in typed
    try:
        await services.saved.save(visitor, view.bucket, name, query, shared=shared)
    except (Invalid, Malformed, Conflict) as refused:
        return await _menu(request, view, visitor, services, problem=refused.detail)
    return await _menu(request, view, visitor, services, said="Saved.")


@routes.get("/explore/{bucket}/saved/{id}")
async def open_saved(request: Request, view: Readable, visitor: Visitor, services: Has) -> Response:
    """The page with this search, by a link that holds whatever it is called."""
    search = await services.saved.get(visitor, view.bucket, request.path_params["id"])
    state, _ = read_state(view.bucket.name, parse_qsl(search.query))  # never the text itself: a link is made of it
    return RedirectResponse(state.link(), 303)


@routes.post("/explore/{bucket}/saved/{id}")
async def change(request: Request, view: Readable, visitor: Visitor, services: Has) -> Response:
    """Another name, or other readers."""
    typed = await request.form()
    name, shared = str(typed.get("name", "")), "shared" in typed
    try:
        await services.saved.change(visitor, view.bucket, request.path_params["id"], name=name, shared=shared)
    except (Invalid, Conflict) as refused:
        return await _menu(request, view, visitor, services, problem=refused.detail)
    return await _menu(request, view, visitor, services, said="Changed.")


@routes.delete("/explore/{bucket}/saved/{id}")
async def delete(request: Request, view: Readable, visitor: Visitor, services: Has) -> Response:
    await services.saved.delete(visitor, view.bucket, request.path_params["id"])
    return await _menu(request, view, visitor, services, said="Deleted.")


async def _menu(
    request: Request, view: View, visitor: Principal, services: Services, *, problem: str = "", said: str = ""
) -> Response:
    """The list as a part of the page; whoever has no script goes back to the page."""
    base = f"/explore/{quote(view.bucket.name, safe='')}"
    if not is_part(request):
        return RedirectResponse(base, 303)
    found = await services.saved.list(visitor, view.bucket)
    values = {
        "base": f"{base}/saved",
        "bucket": view.bucket.name,
        "mine": [listed.search for listed in found if listed.search.owner_id == visitor.id],
        "others": [listed for listed in found if listed.search.owner_id != visitor.id],
        "problem": problem,
        "said": said,
        "visible": visible,
        "shown": lambda query: visible(unquote_plus(query.replace("&", " · ")) or "everything", 120),
    }
    return render(request, "explore/_saved_list.html", 422 if problem else 200, **values)
