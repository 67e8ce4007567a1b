"""Metrics for Prometheus. Open to all, unless a setting closes them."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.web.deps import Has, authenticate
from headrace.web.door import documented, router

routes = router("Operations")


@routes.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    summary="Metrics",
    operation_id="metrics",
    openapi_extra=documented(is_open=True),
)
async def metrics(request: Request, services: Has) -> Response:
    """Prometheus text format; every name begins with `headrace_`."""
    if not request.app.state.options.metrics_open:
        await authenticate(request)
    await services.health.measure()
    content_type, body = services.metrics.render()
    return Response(body, headers={"content-type": content_type})
