"""What the server is and how it is doing, for people and for the CLI."""

from __future__ import annotations

from starlette.responses import Response

from headrace.web.answers import JsonBytes, encode
from headrace.web.deps import Has
from headrace.web.door import router
from headrace.web.schemas import Status

routes = router("Operations")


@routes.get("/v1/status", response_model=Status, summary="How is it doing?", operation_id="status")
async def status(services: Has) -> Response:
    """Version, the depth of the queue, the size of the store, and more."""
    return JsonBytes(encode(await services.health.status()))
