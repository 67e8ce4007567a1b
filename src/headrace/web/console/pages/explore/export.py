"""All that the page's filter finds, as a file: streamed to the browser that holds the session, no key in any URL."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from headrace.errors import Malformed
from headrace.web.console.page import pages
from headrace.web.console.pages.explore.asked import asked
from headrace.web.deps import Has, Readable
from headrace.web.reading import exported

routes = pages("Explore")


@routes.get("/explore/{bucket}/export", response_class=StreamingResponse)
async def export(request: Request, view: Readable, services: Has) -> Response:
    """`format` as in the API. A connection that is cut means that the file is not whole."""
    found = asked(request, services)
    if found.problems:
        raise Malformed(f"The filter {found.problems[0].field!r} is not good: {found.problems[0].detail}.")
    return await exported(request, services, view, found.filter)
