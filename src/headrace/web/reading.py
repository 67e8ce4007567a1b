"""What all doors that read events ask the same way: the filter of the query string, where a tail goes on, a file of all
that matches."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from headrace.model.query import EventFilter
from headrace.model.view import View
from headrace.query.filters import is_filter_param, parse_filter
from headrace.services import Services
from headrace.web.answers import attachment, begun
from headrace.web.param import ask, pairs_of
from headrace.web.params import FORMAT
from headrace.web.positions import position_of

STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}  # or nginx holds events back


def filter_of(request: Request, services: Services) -> EventFilter:
    """Raises Malformed, with an item for each parameter that is not good."""
    pairs = [pair for pair in pairs_of(request) if is_filter_param(pair[0])]
    return parse_filter(pairs, services.clock.now())


async def exported(request: Request, services: Services, view: View, filter: EventFilter) -> Response:
    """The file in the format that the query string asks for, as it is being made."""
    made = services.export.open(view, filter, ask(request, FORMAT))
    headers = {**STREAM_HEADERS, "content-disposition": attachment(made.file_name)}
    return StreamingResponse(await begun(made.chunks), media_type=made.content_type, headers=headers)


def tail_after(request: Request) -> int | None:
    """The position after which a tail goes on; an empty header is none, as for browsers. Raises Malformed."""
    if not request.headers.get("Last-Event-ID", "").strip():
        return None
    return position_of(request, "Last-Event-ID", "send the `id` of the last event that came")
