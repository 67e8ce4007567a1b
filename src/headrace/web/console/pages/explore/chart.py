"""Counts over time for the chart of the Explore page: columns by level, times in seconds, as uPlot takes them."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.errors import HeadraceError, Malformed
from headrace.kit.times import SECOND, parse_duration
from headrace.model.event import LEVELS
from headrace.query.reader import Histogram
from headrace.web.answers import JsonBytes, encode
from headrace.web.console.page import pages
from headrace.web.console.pages.explore.asked import asked
from headrace.web.deps import Has, Readable
from headrace.web.errors import problem
from headrace.web.middleware.request_id import request_id_in

routes = pages("Explore")


@routes.get("/explore/{bucket}/part/chart")
async def chart(request: Request, view: Readable, services: Has) -> Response:
    """JSON for the page's script: what goes wrong is a problem in JSON too."""
    found = asked(request, services)
    try:
        if found.problems:
            raise Malformed("The filter is not good.", items=found.problems)
        counted = await services.reader.histogram(view, found.filter, by="level")
    except HeadraceError as exc:
        status, headers, body = problem(exc, request_id_in(request.scope))
        response = Response(body, status)
        response.raw_headers = headers
        return response
    return JsonBytes(encode(columns_of(counted)))


def columns_of(counted: Histogram) -> dict[str, object]:
    """`levels` holds those that occur, gravest last; every list is as long as `times`."""
    groups = [dict(bar.by) for bar in counted.bars]
    levels = {level: [group.get(level, 0) for group in groups] for level in LEVELS}
    return {
        "interval": parse_duration(counted.interval) / SECOND,
        "label": counted.interval,
        "times": [bar.time // SECOND for bar in counted.bars],
        "levels": {level: counts for level, counts in levels.items() if any(counts)},
        "total": sum(bar.count for bar in counted.bars),
    }
