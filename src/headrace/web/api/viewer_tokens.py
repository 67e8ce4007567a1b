"""Viewer tokens: an application shows its customers their own trail with them."""

from __future__ import annotations

from fastapi import Request

from headrace.kit.times import format_time
from headrace.model.bucket import Bucket
from headrace.web.caller import address_of
from headrace.web.deps import Caller, Has
from headrace.web.door import router
from headrace.web.schemas_access import NewViewerToken, ViewerTokenAnswer

routes = router("Viewer tokens")


@routes.post("/v1/viewer-tokens", status_code=201, summary="Make a viewer token", operation_id="make_viewer_token")
async def make(request: Request, asked: NewViewerToken, caller: Caller, services: Has) -> ViewerTokenAnswer:
    """It reads the events of this bucket under this filter, and nothing else. For those who manage the bucket.

    It dies with the right of its maker to manage the bucket.
    """
    bucket: Bucket = services.buckets.cached(asked.bucket) or await services.buckets.resolve(asked.bucket)
    token, expires_at = await services.viewer_tokens.mint(
        caller, bucket, asked.filter, asked.expires_in, address_of(request)
    )
    return ViewerTokenAnswer(token=token, expires_at=format_time(expires_at))
