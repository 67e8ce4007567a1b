"""The Explore page itself: bucket, time, filters and the list; and the small answers that change its state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from headrace.errors import HeadraceError, Malformed, Retriable
from headrace.model.principal import Permission, Principal
from headrace.model.view import View
from headrace.query.reader import EventsPage
from headrace.services import Services
from headrace.web.console.page import Visitor, pages
from headrace.web.console.pages.explore.asked import Asked, asked, asked_in_form, filter_by
from headrace.web.console.pages.explore.changes import changed
from headrace.web.console.pages.explore.chips import COLUMN_NAMES, FIELDS, chips_of, drops_of
from headrace.web.console.pages.explore.commands import curl_search, curl_send
from headrace.web.console.pages.explore.marks import visible
from headrace.web.console.pages.explore.rows import row_of
from headrace.web.console.pages.explore.state import (
    ATTRIBUTE,
    COLUMNS,
    DEFAULT_COLUMNS,
    QUICK_RANGES,
    State,
)
from headrace.web.console.render import is_part, render
from headrace.web.deps import Has, Readable
from headrace.web.errors import status_of
from headrace.web.param import ask
from headrace.web.params import CURSOR

routes = pages("Explore")

_ON_A_PAGE = 50  # with their links and cut values they weigh about 50 KB
_MOST_DROPS = 6  # each is a search of its own


@routes.get("/explore")
async def choose(request: Request, visitor: Visitor, services: Has) -> Response:
    """The bucket that people look at first, or a word on why there is none."""
    names = await _readable(visitor, services)
    if not names:
        return render(request, "explore/none.html")
    return RedirectResponse(State("default" if "default" in names else names[0]).link(), 303)


@routes.get("/explore/{bucket}")
async def explore(request: Request, view: Readable, visitor: Visitor, services: Has) -> Response:
    """The page; for htmx, the events behind a cursor."""
    found = asked(request, services)
    position = await services.tail.position(view)  # before the list is read: from there a live tail leaves no gap
    listed, trouble = await _search(request, view, found, services)
    values = {**_listed(request, found.state, listed), "trouble": trouble, "position": position}
    if is_part(request):
        return render(request, "explore/_more.html", **values)
    names = await _readable(visitor, services)
    values["send"] = curl_send(request, view.bucket.name) if _may_write(visitor, view, services) else None
    response = render(request, "explore/page.html", _status(found, trouble), **values, **_around(request, found, names))
    if isinstance(trouble, Retriable):
        response.headers["retry-after"] = str(max(1, round(trouble.retry_after)))
    return response


@routes.get("/explore/{bucket}/part/set")
async def change(request: Request, services: Has) -> Response:
    """What a form on the page changes: the bucket, one more filter, a time of one's own, the columns."""
    found, fields = asked_in_form(request, services)
    return RedirectResponse(changed(found.state, fields).link(), 303)


@routes.get("/explore/{bucket}/part/why")
async def why(request: Request, view: Readable, services: Has) -> Response:
    """Where nothing was found: without which filter there would be something."""
    found = asked(request, services)
    drops = [] if found.problems else drops_of(found.state)[:_MOST_DROPS]
    helpful = [(label, other) for label, other in drops if await _finds(view, other, services)]
    return render(request, "explore/_why.html", drops=helpful, nothing_asked=replace(found.state, pairs=()).link())


async def _search(
    request: Request, view: View, found: Asked, services: Services
) -> tuple[EventsPage | None, HeadraceError | None]:
    """A page of the list, or why there is none; neither where the filter is not good."""
    if found.problems:
        return None, None
    order, cursor = found.state.order, ask(request, CURSOR)
    try:
        listed = await services.reader.list(view, found.filter, order=order, limit=_ON_A_PAGE, cursor=cursor)
    except (Malformed, Retriable) as exc:
        return None, exc
    return listed, None


async def _finds(view: View, state: State, services: Services) -> bool:
    try:
        return bool((await services.reader.list(view, filter_by(state, services), limit=1)).events)
    except Retriable:
        return False


async def _readable(visitor: Principal, services: Services) -> list[str]:
    """The names of the buckets whose events the visitor may read."""
    return [bucket.name for bucket in await services.buckets.list(visitor) if _may(visitor, bucket, services)]


def _may(visitor: Principal, bucket: Any, services: Services) -> bool:
    try:
        services.view(visitor, bucket)
    except HeadraceError:
        return False
    return True


def _may_write(visitor: Principal, view: View, services: Services) -> bool:
    try:
        services.require(visitor, view.bucket, Permission.WRITE)
    except HeadraceError:
        return False
    return True


def _status(found: Asked, trouble: HeadraceError | None) -> int:
    if found.problems:
        return 400
    return 200 if trouble is None else status_of(trouble)


def _listed(request: Request, state: State, listed: EventsPage | None) -> dict[str, Any]:
    """What the list shows, and where it goes on."""
    rows = [row_of(event, state) for event in listed.events] if listed else []
    more = state.link(cursor=listed.next_cursor) if listed and listed.next_cursor else None
    return {
        "state": state, "rows": rows, "more": more, "again": f"{request.url.path}?{request.url.query}",
        "visible": visible,
    }  # fmt: skip


def _around(request: Request, found: Asked, names: list[str]) -> dict[str, Any]:
    """What is around the list."""
    state = found.state
    chosen = [name for name in state.columns if name.startswith(ATTRIBUTE)]
    return {
        "found": found,
        "buckets": names,
        "chips": chips_of(found),
        "fields": FIELDS,
        "quick_ranges": [(age, state.between(age, "").link()) for age in QUICK_RANGES] + [
            ("all", state.between("", "").link())
        ],
        "all_columns": [(name, COLUMN_NAMES.get(name, name), name in state.columns) for name in (*COLUMNS, *chosen)],
        "column_names": COLUMN_NAMES,
        "drops": drops_of(state),
        "default_columns": DEFAULT_COLUMNS,
        "nothing_asked": replace(state, pairs=()).link(),
        "turned": replace(state, order="asc" if state.order == "desc" else "desc").link(),
        "first_page": "cursor" not in request.query_params,
        "curl": curl_search(request, state),
    }
