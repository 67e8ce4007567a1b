"""Reading events: pages, one by id, histogram, facets, the live tail, export. Writing them is web/fast_lane.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from headrace.query.render import event_json, time_text
from headrace.query.tail import TailStream
from headrace.web.answers import JsonBytes, begun, encode
from headrace.web.deps import Has, Readable, readable, services_of, still_readable
from headrace.web.door import documented, router
from headrace.web.param import ask
from headrace.web.params import (
    BUCKET_PATH,
    BY,
    CURSOR,
    EVENT_PATH,
    FACET_LIMIT,
    FIELDS,
    FILTERS,
    FORMAT,
    INTERVAL,
    LAST_EVENT_ID,
    LIMIT,
    OFFSET,
    ORDER,
    READ_AFTER,
)
from headrace.web.reading import STREAM_HEADERS, exported, filter_of, tail_after
from headrace.web.schemas import Event, EventPage, FacetsAnswer, HistogramAnswer

routes = router("Events")

_RECONNECT_MS = 1_000


@routes.get(
    "/v1/buckets/{bucket}/events",
    response_model=EventPage,
    summary="Search events",
    operation_id="list_events",
    openapi_extra=documented(ORDER, LIMIT, CURSOR, OFFSET, *FILTERS, path=[BUCKET_PATH, READ_AFTER], for_viewers=True),
)
async def page(request: Request) -> Response:
    """A page of the events that match all of the filters, by time. A repeated filter means any of its values."""
    # The hottest read asks for its two dependencies itself: FastAPI takes 20 µs to solve each.
    services, view = services_of(request), await readable(request)
    found = await services.reader.list(
        view,
        filter_of(request, services),
        order=ask(request, ORDER),
        limit=ask(request, LIMIT),
        cursor=ask(request, CURSOR),
        offset=ask(request, OFFSET),
    )
    name = view.bucket.name
    events = b",".join([event_json(event, name) for event in found.events])
    cursor = b',"next_cursor":' + encode(found.next_cursor) if found.next_cursor else b""
    return JsonBytes(b'{"events":[' + events + b"]" + cursor + b"}")


@routes.get(
    "/v1/buckets/{bucket}/events/{id}",
    response_model=Event,
    summary="Get an event",
    operation_id="get_event",
    openapi_extra=documented(path=[BUCKET_PATH, EVENT_PATH, READ_AFTER], for_viewers=True),
)
async def one(request: Request, view: Readable, services: Has) -> Response:
    """By its id. An event can be read a moment after its 202, and at once after a 201."""
    return JsonBytes(event_json(await services.reader.get(view, request.path_params["id"]), view.bucket.name))


@routes.get(
    "/v1/buckets/{bucket}/histogram",
    response_model=HistogramAnswer,
    summary="Count events over time",
    operation_id="histogram",
    openapi_extra=documented(INTERVAL, BY, *FILTERS, path=[BUCKET_PATH, READ_AFTER], for_viewers=True),
)
async def histogram(request: Request, view: Readable, services: Has) -> Response:
    """A bar for each interval, empty ones too; more than 2,000 are refused."""
    found = await services.reader.histogram(
        view, filter_of(request, services), interval=ask(request, INTERVAL), by=ask(request, BY)
    )
    bars = [
        {"time": time_text(bar.time), "count": bar.count} | ({"by": dict(bar.by)} if bar.by else {})
        for bar in found.bars
    ]
    return JsonBytes(encode({"interval": found.interval, "buckets": bars}))


@routes.get(
    "/v1/buckets/{bucket}/facets",
    response_model=FacetsAnswer,
    summary="Count the most frequent values",
    operation_id="facets",
    openapi_extra=documented(FIELDS, FACET_LIMIT, *FILTERS, path=[BUCKET_PATH, READ_AFTER], for_viewers=True),
)
async def facets(request: Request, view: Readable, services: Has) -> Response:
    """The most frequent values of each field, most frequent first."""
    found = await services.reader.facets(
        view, filter_of(request, services), fields=ask(request, FIELDS), limit=ask(request, FACET_LIMIT)
    )
    return JsonBytes(encode({"facets": found}))


@routes.get(
    "/v1/buckets/{bucket}/tail",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
    summary="Watch events live",
    operation_id="tail",
    openapi_extra=documented(*FILTERS, path=[BUCKET_PATH, LAST_EVENT_ID], for_viewers=True),
)
async def tail(request: Request, view: Readable, services: Has) -> Response:
    """Server-sent events: each event once, in order of storing, from now on or from the position in `Last-Event-ID`.

    `data:` is the event, `id:` its position. A comment every 15 seconds keeps proxies from closing the stream.
    """
    followed = services.tail.follow(view, filter_of(request, services), tail_after(request))
    # The first piece is at hand before the answer begins: what is stored from then on is in the stream.
    stream = await begun(_as_sse(followed, view.bucket.name, partial(still_readable, request, view)))
    return StreamingResponse(stream, media_type="text/event-stream", headers=STREAM_HEADERS)


@routes.get(
    "/v1/buckets/{bucket}/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {
                "application/x-ndjson": {"schema": {"type": "string"}},
                "text/csv": {"schema": {"type": "string"}},
                "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
            }
        }
    },
    summary="Export events",
    operation_id="export",
    openapi_extra=documented(FORMAT, *FILTERS, path=[BUCKET_PATH, READ_AFTER], for_viewers=True),
)
async def export(request: Request, view: Readable, services: Has) -> Response:
    """All events that match, oldest first, as a file. A connection that is cut means that the file is not whole."""
    return await exported(request, services, view, filter_of(request, services))


async def _as_sse(followed: TailStream, bucket: str, readable: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """Ends as soon as it is no longer `readable`: a reconnect is then told why."""
    retry = b"retry: %d\n" % _RECONNECT_MS  # told once, with the first sign of life
    try:
        async for item in followed:
            if not await readable():
                return
            if item.event is None:
                # The position moves on even where nothing matches, and a reconnect then does not look at it all again.
                yield b": alive\n%sid: %d\n\n" % (retry, item.position)
                retry = b""
            else:
                # Attributes are verbatim, and white space in JSON may be a carriage return, which ends a line in SSE.
                data = event_json(item.event, bucket).replace(b"\r", b" ")
                yield b"id: %d\ndata: %s\n\n" % (item.position, data)
    finally:
        await followed.aclose()
