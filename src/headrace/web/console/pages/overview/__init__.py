"""The overview: how the server is doing, live, and what the visitor's buckets hold."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from headrace.errors import HeadraceError, NotFound
from headrace.model.permission import may_make_buckets
from headrace.model.principal import Principal
from headrace.operations.history import Window
from headrace.services import Services
from headrace.web.answers import encode
from headrace.web.console.page import Has, Visitor, pages, whose_session
from headrace.web.console.pages.overview.figures import CHARTS
from headrace.web.console.pages.overview.panels import PANELS, Panel, is_admin, named
from headrace.web.console.pages.overview.storage import Storage
from headrace.web.console.render import render

routes = pages("Overview")

SERIES = tuple(line.field for chart in CHARTS for line in chart.lines)

_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # or nginx holds messages back


@routes.get("/")
async def overview(request: Request, visitor: Visitor, services: Has) -> Response:
    """Panels, each as far as it is this visitor's business; for a new server, how to send the first event."""
    shown = [await _shown(services, visitor, panel) for panel in PANELS]
    first = next((values["storage"] for values in shown if "storage" in values), None)
    values: dict[str, Any] = {"panels": [values for values in shown if values], "is_live": is_admin(visitor)}
    if not (isinstance(first, Storage) and first.is_empty):
        return render(request, "overview/overview.html", **values)
    may_make, base_url = may_make_buckets(visitor), request.app.state.options.base_url
    return render(request, "overview/first.html", storage=first, may_make=may_make, base_url=base_url, **values)


@routes.get("/overview/part/panels/{name}")
async def part(request: Request, name: str, visitor: Visitor, services: Has) -> Response:
    """One panel anew."""
    panel = named(name)
    values = await _shown(services, visitor, panel) if panel else {}
    if not values:
        raise NotFound("There is no such panel for you.")
    return render(request, "overview/_panel.html", is_live=is_admin(visitor), **values)


@routes.get("/overview/part/first")
async def first(visitor: Visitor, services: Has, shown: str = "") -> Response:
    """Asked by a page that waits for the first event, with the bucket that it shows: as it was, or to be drawn anew."""
    buckets = named("buckets")
    values = await _shown(services, visitor, buckets) if buckets else {}
    found = values.get("storage")
    is_same = not isinstance(found, Storage) or (found.is_empty and (found.writable or "") == shown)
    return Response(status_code=204, headers=None if is_same else {"hx-refresh": "true"})


@routes.get("/overview/part/live", response_class=StreamingResponse)
async def live(request: Request, visitor: Visitor, services: Has) -> Response:
    """Server-sent events: what is kept of the last hour, or came after `Last-Event-ID`, and then each new sample."""
    services.require_admin(visitor)
    stream = _as_sse(request, services, _position(request))
    return StreamingResponse(stream, media_type="text/event-stream", headers=_STREAM_HEADERS)


async def _shown(services: Services, visitor: Principal, panel: Panel) -> dict[str, Any]:
    """What the panel's template needs; empty when it is not there for this visitor."""
    try:
        values = await panel.load(services, visitor)
    except HeadraceError as exc:
        return {"panel": panel, "trouble": exc.detail}
    return {} if values is None else {"panel": panel, "trouble": None, **values}


def _position(request: Request) -> int:
    """Where the page has got to: all that is kept, when it does not say."""
    text = request.headers.get("last-event-id") or request.query_params.get("after", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


async def _as_sse(request: Request, services: Services, after: int) -> AsyncIterator[bytes]:
    """Ends with the server, and as soon as it is no administrator who looks: the next try is then told why."""
    yield b"retry: 2000\n\n"
    while (window := await services.history.following(after)) is not None:
        if not await _still_admin(request):
            return
        after = window.position
        yield b"id: %d\ndata: %s\n\n" % (after, _message(window))


async def _still_admin(request: Request) -> bool:
    try:
        return is_admin(await whose_session(request))
    except HeadraceError:
        return False


def _message(window: Window) -> bytes:
    """`series`: what charts show, as columns by their names, an hour in at most 80 kB; `newest`: all of the last
    sample, for the tiles. Null is what could not be asked."""
    columns = window.columns
    series = {name: [_short(value) for value in columns[name]] for name in SERIES}
    times = [round(value, 1) for value in columns["time"]]
    newest = {name: _plain(column[-1]) for name, column in columns.items()}
    return encode({"series": {"time": times, **series}, "newest": newest})


def _short(value: float) -> float | int | None:
    """No more digits than a chart shows."""
    return _plain(round(value) if value >= 100 else value)


def _plain(value: float) -> float | int | None:
    if math.isnan(value):
        return None
    return int(value) if float(value).is_integer() else value
