"""For load balancers and supervisors: is the process alive, should it get traffic. Open to all."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.errors import Unavailable
from headrace.web.answers import JsonBytes, encode
from headrace.web.deps import Has
from headrace.web.door import documented, router
from headrace.web.errors import problem_response
from headrace.web.schemas import Alive, Ready

routes = router("Operations")


@routes.get("/health/live", summary="Is it alive?", operation_id="live", openapi_extra=documented(is_open=True))
async def live() -> Alive:
    """That this is answered at all says that the event loop turns."""
    return Alive()


@routes.get(
    "/health/ready",
    response_model=Ready,
    summary="Should it get traffic?",
    operation_id="ready",
    openapi_extra=documented(is_open=True),
)
async def ready(request: Request, services: Has) -> Response:
    """503 while commits fail, the disk is full, the server is shutting down, or the queue does not answer and there is
    no spool. What is wrong and does no harm is told under `parts`."""
    found = await services.health.ready()
    if found.ok:
        return JsonBytes(encode({"status": "ready", "parts": found.parts}))
    why = "; ".join(f"{part}: {state}" for part, state in found.parts.items() if state != "ok")
    return problem_response(request, Unavailable(why, code="not-ready"), parts=found.parts)
