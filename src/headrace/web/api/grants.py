"""What users may do on a bucket. For those who manage it."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from headrace.web.caller import address_of
from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.params import BUCKET_PATH
from headrace.web.params_identity import USER_PATH
from headrace.web.schemas_access import GrantAnswer, GrantBody, GrantList

routes = router("Buckets")


@routes.put(
    "/v1/buckets/{bucket}/grants/{user}",
    summary="Grant a user access",
    operation_id="put_grant",
    openapi_extra=documented(path=[BUCKET_PATH, USER_PATH]),
)
async def put(request: Request, asked: GrantBody, caller: Caller, services: Has) -> GrantAnswer:
    """Exactly these permissions from now on. `manage` includes `read` and `write`."""
    path = request.path_params
    permissions = frozenset(asked.permissions)
    return GrantAnswer.of(
        await services.grants.put(caller, path["bucket"], path["user"], permissions, address_of(request))
    )


@routes.get(
    "/v1/buckets/{bucket}/grants",
    summary="List grants",
    operation_id="list_grants",
    openapi_extra=documented(path=[BUCKET_PATH]),
)
async def every(request: Request, caller: Caller, services: Has) -> GrantList:
    """Of users on this bucket, by username."""
    found = await services.grants.list(caller, request.path_params["bucket"])
    return GrantList(grants=[GrantAnswer.of(grant) for grant in found])


@routes.delete(
    "/v1/buckets/{bucket}/grants/{user}",
    status_code=204,
    summary="Take a user's access away",
    operation_id="delete_grant",
    openapi_extra=documented(path=[BUCKET_PATH, USER_PATH]),
)
async def delete(request: Request, caller: Caller, services: Has) -> Response:
    """Of this bucket. Bites within 5 s."""
    path = request.path_params
    await services.grants.delete(caller, path["bucket"], path["user"], address_of(request))
    return Response(status_code=204)
