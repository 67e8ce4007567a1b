"""One event: the drawer of the Explore page, which is a page with a link of its own; and the event as a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fastapi import Request
from markupsafe import Markup
from starlette.responses import Response

from headrace.errors import Retriable
from headrace.kit.times import MINUTE, format_time
from headrace.model.event import LEVELS, StoredEvent
from headrace.query.filters import MAX_VALUE_BYTES
from headrace.query.render import event_json
from headrace.web.answers import JsonBytes, attachment, encode
from headrace.web.console.page import pages
from headrace.web.console.pages.explore.asked import asked, filter_by
from headrace.web.console.pages.explore.commands import curl_event
from headrace.web.console.pages.explore.json_lines import Line, lines
from headrace.web.console.pages.explore.marks import visible
from headrace.web.console.pages.explore.rows import row_of, text_of
from headrace.web.console.pages.explore.state import ATTRIBUTE, State, term_of
from headrace.web.console.render import is_part, render
from headrace.web.deps import Has, Readable

routes = pages("Explore")

_CUT = 2_000  # characters of a value, and
_LINES = 200  # lines of attributes, until all are asked for
_MOST_LINES = 20_000  # more than that is for a file
_MOST_DEPTH = 24  # levels that are shown by indenting
_OTHERS = 20  # events of the same trace
_NEARBY = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class Fact:
    """A field with its value as HTML, and the pages that show only events with it, or none of those. `more` says that
    this is not all of it."""

    name: str
    value: Markup
    only: str | None = None
    without: str | None = None
    time: int | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A line of the attributes."""

    indent: str
    key: Markup | None
    value: Markup
    kind: str
    comma: bool
    only: str | None
    without: str | None


@routes.get("/explore/{bucket}/events/{id}")
async def event(request: Request, view: Readable, services: Has) -> Response:
    """The whole page; for htmx, what goes into the drawer. `all=1`: nothing is cut."""
    state = asked(request, services).state
    found = await services.reader.get(view, request.path_params["id"])
    values = _shown_of(found, state, whole=request.query_params.get("all") == "1")
    values["curl"] = curl_event(request, state.bucket, values["id"])
    return render(request, "explore/_event.html" if is_part(request) else "explore/event.html", **values)


@routes.get("/explore/{bucket}/events/{id}/json")
async def raw(request: Request, view: Readable, services: Has) -> Response:
    """As the API answers it: to be copied, or with `download=1` kept."""
    found = await services.reader.get(view, request.path_params["id"])
    headers = {}
    if "download" in request.query_params:
        headers["content-disposition"] = attachment(f"event-{text_of(found, 'id')}.json")
    return JsonBytes(event_json(found, view.bucket.name), headers=headers)


@routes.get("/explore/{bucket}/events/{id}/part/trace")
async def others(request: Request, view: Readable, services: Has) -> Response:
    """The other events of its trace, oldest first."""
    state = asked(request, services).state
    found = await services.reader.get(view, request.path_params["id"])
    listed = []
    if _has_trace(found):
        wanted = filter_by(State(state.bucket).adding("trace_id", found.trace_id or ""), services)
        try:
            listed = list((await services.reader.list(view, wanted, order="asc", limit=_OTHERS + 1)).events)
        except Retriable:
            listed = []
    rows = [row_of(one, State(state.bucket)) for one in listed if one.id != found.id]
    return render(request, "explore/_trace.html", rows=rows[:_OTHERS], trace=found.trace_id)


def _shown_of(event: StoredEvent, state: State, *, whole: bool) -> dict[str, Any]:
    """What the template takes, but for the commands."""
    attributes, more_lines = _attributes(event, state, whole)
    name, bucket = text_of(event, "id"), State(state.bucket)
    place = f"/events/{name}"
    return {
        "id": name,
        "level": LEVELS[event.level],
        "title": visible(_title(event), 300),
        "facts": list(_facts(event, state, whole)),
        "attributes": attributes,
        "more_lines": more_lines,
        "whole": whole,
        "state": state,
        "back": state.link(),
        "link": state.link(place),
        "all": state.link(place, all="1"),
        "permalink": bucket.link(place),
        "raw": bucket.link(f"{place}/json"),
        "others": bucket.link(f"{place}/part/trace"),
        "trace": bucket.adding("trace_id", event.trace_id or "").link() if _has_trace(event) else None,
        "nearby": _around(event.time, bucket).link(),
    }


def _title(event: StoredEvent) -> str:
    return event.message or event.action or ""


def _facts(event: StoredEvent, state: State, whole: bool) -> Iterator[Fact]:
    yield Fact("time", Markup(""), time=event.time)
    yield Fact("level", visible(LEVELS[event.level]), state.adding("level", LEVELS[event.level]).link())
    for name in ("service", "action"):
        yield from _fact(name, getattr(event, name), state, whole, name)
    for name in ("actor", "target"):
        party = getattr(event, name)
        if party is not None:
            yield from _fact(name, party.id, state, whole, name)
            yield from _fact(f"{name} type", party.type, state, whole)
            yield from _fact(f"{name} name", party.name, state, whole)
    yield from _fact("outcome", event.outcome, state, whole, "outcome")
    yield from _fact("message", event.message, state, whole, "q")
    yield from _fact("trace", event.trace_id, state, whole, "trace_id")
    yield from _fact("span", event.span_id, state, whole)
    yield Fact("received", Markup(""), time=event.received_at)
    yield from _fact("id", text_of(event, "id"), state, whole)


def _fact(name: str, value: str | None, state: State, whole: bool, filter: str | None = None) -> Iterator[Fact]:
    """`filter` is the one that finds this value, if there is one."""
    if value is None:
        return
    most = None if whole else _CUT
    only = without = None
    if filter == "q":
        only, without = _requiring(state, value), _requiring(state, value, without=True)
    elif filter is not None and _can_be_asked(value):
        only = state.adding(filter, value).link()
    yield Fact(name, visible(value, most, lines=True), only, without, more=most is not None and len(value) > most)


def _attributes(event: StoredEvent, state: State, whole: bool) -> tuple[list[Shown], bool]:
    """The lines to show, and whether there are more. Only the first have links: those of 10,000 weigh megabytes."""
    most = _MOST_LINES if whole else _LINES
    found = list(islice(lines(event.attributes or ""), most + 1))
    return [_shown(line, state, whole, linked=at < _LINES) for at, line in enumerate(found[:most])], len(found) > most


def _shown(line: Line, state: State, whole: bool, linked: bool) -> Shown:
    only = without = None
    if linked and line.path and line.value is not None and _can_be_asked(line.value):
        only = state.adding(ATTRIBUTE + line.path, line.value).link()
        without = _requiring(state, line.value, without=True)
    return Shown(
        "  " * min(line.depth, _MOST_DEPTH),
        None if line.key is None else visible(encode(line.key).decode(), 300),
        visible(line.text, None if whole else _CUT),
        line.kind,
        line.comma,
        only,
        without,
    )


def _requiring(state: State, value: str, *, without: bool = False) -> str | None:
    term = term_of(value, without=without)
    return state.requiring(term).link() if term else None


def _can_be_asked(value: str) -> bool:
    return bool(value) and "\0" not in value and len(value.encode(errors="replace")) <= MAX_VALUE_BYTES


def _has_trace(event: StoredEvent) -> bool:
    """Whether others of its trace can be asked for: a trace id may be anything, as any field."""
    return bool(event.trace_id) and _can_be_asked(event.trace_id or "")


def _around(time: int, state: State) -> State:
    """The minutes before and after."""
    return state.between(format_time(max(0, time - _NEARBY)), format_time(time + _NEARBY))
