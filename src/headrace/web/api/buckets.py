"""Buckets: make, list, describe, change, delete."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.param import ask
from headrace.web.params import BUCKET_PATH, CONFIRM
from headrace.web.schemas import BucketAnswer, BucketChange, BucketList, NewBucket

routes = router("Buckets")


@routes.post(
    "/v1/buckets",
    status_code=201,
    response_model_exclude_none=True,
    summary="Make a bucket",
    operation_id="make_bucket",
)
async def make(asked: NewBucket, caller: Caller, services: Has) -> BucketAnswer:
    """A named set of events with its own access and retention. 409 when the name is taken."""
    made = await services.buckets.create(caller, asked.name, asked.description, asked.retention_days)
    return BucketAnswer.of(made)


@routes.get("/v1/buckets", response_model_exclude_none=True, summary="List buckets", operation_id="list_buckets")
async def every(caller: Caller, services: Has) -> BucketList:
    """Those that you may see, by name."""
    return BucketList(buckets=[BucketAnswer.of(bucket) for bucket in await services.buckets.list(caller)])


@routes.get(
    "/v1/buckets/{bucket}",
    response_model_exclude_none=True,
    summary="Describe a bucket",
    operation_id="describe_bucket",
    openapi_extra=documented(path=[BUCKET_PATH]),
)
async def describe(request: Request, caller: Caller, services: Has) -> BucketAnswer:
    """The bucket, how many events it has, and the times of the oldest and the newest."""
    bucket, stats = await services.buckets.describe(caller, request.path_params["bucket"])
    return BucketAnswer.of(bucket, stats)


@routes.patch(
    "/v1/buckets/{bucket}",
    response_model_exclude_none=True,
    summary="Change a bucket",
    operation_id="change_bucket",
    openapi_extra=documented(path=[BUCKET_PATH]),
)
async def change(request: Request, asked: BucketChange, caller: Caller, services: Has) -> BucketAnswer:
    """Only what is given changes; `retention_days: null` keeps for ever."""
    changes = asked.model_dump(exclude_unset=True)
    return BucketAnswer.of(await services.buckets.update(caller, request.path_params["bucket"], **changes))


@routes.delete(
    "/v1/buckets/{bucket}",
    status_code=204,
    summary="Delete a bucket and all of its events",
    operation_id="delete_bucket",
    openapi_extra=documented(CONFIRM, path=[BUCKET_PATH | {"example": "billing"}]),
)
async def delete(request: Request, caller: Caller, services: Has) -> Response:
    """For good. `confirm` must be the bucket's name."""
    await services.buckets.delete(caller, request.path_params["bucket"], ask(request, CONFIRM))
    return Response(status_code=204)
