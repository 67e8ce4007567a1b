"""How much was sent, by day, against the quotas."""

from __future__ import annotations

from fastapi import Request

from headrace.query.filters import parse_filter
from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.param import ask, pairs_of
from headrace.web.params import FILTERS
from headrace.web.params_identity import USAGE_BY
from headrace.web.schemas_access import UsageAnswer, UsageReport

routes = router("Operations")
_SPAN = [param for param in FILTERS if param.name in ("since", "until")]


@routes.get(
    "/v1/usage",
    response_model_exclude_none=True,
    summary="How much was sent?",
    operation_id="usage",
    openapi_extra=documented(USAGE_BY, *_SPAN),
)
async def report(request: Request, caller: Caller, services: Has) -> UsageReport:
    """Events and bytes of each day (UTC), newest first, of what you may see. Without `since`: the last 30 days."""
    by = ask(request, USAGE_BY)
    for param in _SPAN:
        ask(request, param)  # given twice is refused
    span = parse_filter([pair for pair in pairs_of(request) if pair[0] != USAGE_BY.name], services.clock.now())
    lines = await services.usage.report(caller, by, span.since, span.until)
    return UsageReport(by=by, usage=[UsageAnswer.of(line, by) for line in lines])
