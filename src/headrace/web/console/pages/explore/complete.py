"""What could be typed next in the filter bar: fields, and the values that they have among the events in question."""

from __future__ import annotations

from collections import Counter

from fastapi import Request
from starlette.responses import Response

from headrace.errors import Retriable
from headrace.model.event import LEVELS
from headrace.model.query import FACET_FIELDS
from headrace.model.view import View
from headrace.query.filters import MAX_VALUE_BYTES
from headrace.services import Services
from headrace.web.console.page import pages
from headrace.web.console.pages.explore.asked import asked_in_form, filter_by
from headrace.web.console.pages.explore.changes import filter_name
from headrace.web.console.pages.explore.chips import FIELDS
from headrace.web.console.pages.explore.json_lines import lines
from headrace.web.console.pages.explore.state import ATTRIBUTE, State
from headrace.web.console.render import render
from headrace.web.deps import Has, Readable

routes = pages("Explore")

_MOST_OPTIONS = 20
_MOST_VALUES = 1_000  # looked through for those that hold what was typed
_LOOKED_AT = 100  # newest events whose attributes are looked through
_MOST_TEXT = 16 * 1024  # characters of the attributes of each

Options = list[tuple[str, int | None]]


@routes.get("/explore/{bucket}/part/complete")
async def complete(request: Request, view: Readable, services: Has) -> Response:
    """`<option>`s for the field or, once that is there, for the value. None where the store is busy."""
    found, form = asked_in_form(request, services)
    fields = dict(form)
    options: Options = []
    if not found.problems:
        try:
            if fields.get("part") == "field":
                options = await _fields(view, found.state, services)
            elif fields.get("field", "").strip():
                options = await _values(view, found.state, filter_name(fields["field"]), services)
        except Retriable:
            options = []
    typed = fields.get(fields.get("part", "value"), "").strip().lower()
    shown = [one for one in options if typed in one[0].lower()][:_MOST_OPTIONS]
    return render(request, "explore/_options.html", options=shown)


async def _fields(view: View, state: State, services: Services) -> Options:
    """The fields of every event, then the paths that occur in the newest ones."""
    paths = Counter(path for path, _ in await _attributes(view, state, services))
    return [(name, None) for name in FIELDS] + [(ATTRIBUTE + path, count) for path, count in paths.most_common()]


async def _values(view: View, state: State, name: str, services: Services) -> Options:
    if name == "min_level":
        return [(level, None) for level in LEVELS]
    without = state.removing(name)  # its other values are what one may want as well
    if name in FACET_FIELDS:
        wanted = filter_by(without, services)
        facets = await services.reader.facets(view, wanted, fields=(name,), limit=_MOST_VALUES)
        return [(one.value, one.count) for one in facets[name] if len(one.value) <= MAX_VALUE_BYTES]
    path = name.removeprefix(ATTRIBUTE)
    values = Counter(value for other, value in await _attributes(view, without, services) if other == path)
    return [(value, count) for value, count in values.most_common() if len(value) <= MAX_VALUE_BYTES]


async def _attributes(view: View, state: State, services: Services) -> list[tuple[str, str]]:
    """(path, value) of the scalars in the newest events."""
    page = await services.reader.list(view, filter_by(state, services), limit=_LOOKED_AT)
    texts = [(event.attributes or "")[:_MOST_TEXT] for event in page.events]
    return [
        (line.path, line.value) for text in texts for line in lines(text) if line.path and line.value is not None
    ]
