"""The audit page of a bucket: who did what to what, when, and from where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from headrace.errors import HeadraceError, Malformed, Retriable
from headrace.kit.ids import format_id
from headrace.kit.times import DAY
from headrace.model.bucket import AUDIT_BUCKET, DEFAULT_BUCKET, Bucket
from headrace.model.event import OUTCOMES, StoredEvent
from headrace.model.principal import API_KEY, USER, Principal
from headrace.model.query import EventFilter
from headrace.model.view import View
from headrace.query.filters import parse_filter
from headrace.query.plain import plain
from headrace.query.reader import EventsPage
from headrace.query.sentences import Sentence, sentence_of
from headrace.services import Services
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.pages.audit.asked import RANGES, Asked, read
from headrace.web.console.pages.audit.names import names_in, names_of
from headrace.web.console.render import is_part, render
from headrace.web.deps import Readable
from headrace.web.errors import status_of
from headrace.web.param import pairs_of

routes = pages("Audit")

_ON_A_PAGE = 50
_MOST_VALUES = 50
_COMPLETED = {"actor": (USER, API_KEY), "target": (USER, API_KEY), "action": ()}
"""Fields whose values are proposed, and the kinds of principals that those may be."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the page. `day` is the day (µs, UTC) when it is another one than that of the row above."""

    id: str
    time: int
    sentence: Sentence
    failed: bool
    day: int | None


@routes.get("/audit")
async def choose(request: Request, visitor: Visitor, services: Has) -> Response:
    """On to a bucket: the one asked for, else what administrators did, else where most people's events are."""
    names = await _readable(visitor, services)
    if not names:
        return render(request, "audit/none.html")
    wanted = (request.query_params.get("bucket", ""), AUDIT_BUCKET, DEFAULT_BUCKET, names[0])
    return RedirectResponse(Asked(next(name for name in wanted if name in names)).link(), 303)


@routes.get("/audit/{bucket}")
async def trail(request: Request, view: Readable, visitor: Visitor, services: Has) -> Response:
    """The page; for htmx, what is behind a cursor."""
    asked = read(view.bucket.name, pairs_of(request))
    page, trouble = await _found(asked, view, services)
    events = page.events if page else ()
    names = await names_in(view.bucket.name, events, visitor, services)
    values = {
        "asked": asked, "rows": rows_of(events, names, ours=view.bucket.name == AUDIT_BUCKET),
        "trouble": trouble, "can_repeat": isinstance(trouble, Retriable),
        "more": asked.link(cursor=page.next_cursor) if page and page.next_cursor else None,
    }  # fmt: skip
    status = status_of(trouble) if trouble else 200
    if is_part(request):
        return render(request, "audit/_more.html", status, **values)
    around = {"buckets": await _readable(visitor, services), "ranges": RANGES, "outcomes": OUTCOMES}
    response = render(request, "audit/page.html", status, **values, **around)
    if isinstance(trouble, Retriable):
        response.headers["retry-after"] = str(max(1, round(trouble.retry_after)))
    return response


@routes.get("/audit/{bucket}/part/values")
async def values(request: Request, view: Readable, visitor: Visitor, services: Has) -> Response:
    """`<option>`s for a field of the filter: the most frequent values. None while the store is busy."""
    field = request.query_params.get("field", "")
    if field not in _COMPLETED:
        raise Malformed("There is no such field to complete.")
    try:
        facets = await services.reader.facets(view, fields=(field,), limit=_MOST_VALUES)
    except Retriable:
        return render(request, "audit/_values.html", options=[])
    found = [one.value for one in facets[field]]
    kinds = _COMPLETED[field] if view.bucket.name == AUDIT_BUCKET else ()
    names = await names_of([(kind, value) for value in found for kind in kinds], visitor, services)
    options = [(value, plain(names.get(value, ""))) for value in found]
    return render(request, "audit/_values.html", options=options)


async def _found(
    asked: Asked, view: View, services: Services
) -> tuple[EventsPage | None, HeadraceError | None]:
    """A page of events, or why there is none."""
    try:
        return await services.reader.list(view, _filter(asked, services), limit=_ON_A_PAGE, cursor=asked.cursor), None
    except (Malformed, Retriable) as exc:
        return None, exc


def _filter(asked: Asked, services: Services) -> EventFilter:
    pairs, wrong = asked.filters()
    if wrong:
        raise Malformed(f"{wrong[0].detail}.", items=wrong)
    return parse_filter(pairs, services.clock.now())


def rows_of(events: Iterable[StoredEvent], names: Mapping[str, str], *, ours: bool) -> list[Row]:
    rows: list[Row] = []
    above: int | None = None
    for event in events:
        day = event.time // DAY * DAY
        shown = day if day != above else None
        sentence = sentence_of(event, names, ours=ours)
        rows.append(Row(format_id(event.id), event.time, sentence, event.outcome == "failure", shown))
        above = day
    return rows


async def _readable(visitor: Principal, services: Services) -> list[str]:
    """The names of the buckets whose events the visitor may read."""
    return [bucket.name for bucket in await services.buckets.list(visitor) if _may_read(visitor, bucket, services)]


def _may_read(visitor: Principal, bucket: Bucket, services: Services) -> bool:
    try:
        services.view(visitor, bucket)
    except HeadraceError:
        return False
    return True
