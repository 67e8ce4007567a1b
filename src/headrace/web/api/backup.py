"""Backup and restore over HTTP. For administrators."""

from __future__ import annotations

from fastapi import Request
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from headrace.kit.times import format_time
from headrace.services import Services
from headrace.web.answers import JsonBytes, attachment, begun, encode
from headrace.web.deps import Admin, Has
from headrace.web.door import documented, router
from headrace.web.schemas import Restored

routes = router("Operations")

TAR = "application/x-tar"
RESTORE_PATH = "/v1/restore"
_BODY = {"required": True, "content": {TAR: {"schema": {"type": "string", "format": "binary"}}}}


@routes.get(
    "/v1/backup",
    response_class=StreamingResponse,
    responses={200: {"content": {TAR: {"schema": {"type": "string", "format": "binary"}}}}},
    summary="Back up everything",
    operation_id="backup",
)
async def backup(admin: Admin, services: Has) -> Response:
    """A consistent copy of queue, events and control data as a tar, while the server runs.

    Where a database server keeps the data, that makes the backups: 409 `not-embedded`.
    """
    stream = await begun(services.backup.stream(admin))
    stamp = format_time(services.clock.now())[:19].replace(":", "")
    headers = {"content-disposition": attachment(f"headrace-{stamp}Z.tar")}
    return StreamingResponse(stream, media_type=TAR, headers=headers)


@routes.post(
    RESTORE_PATH,
    status_code=202,
    response_model=Restored,
    summary="Restore a backup",
    operation_id="restore",
    openapi_extra=documented(requestBody=_BODY),
)
async def restore(request: Request, admin: Admin, services: Has) -> Response:
    """Replaces all data by that of the backup. It is checked first; then the server starts again with it.

    Where a database server keeps the data, that restores it: 409 `not-embedded`.
    """
    staged = await services.restore.stage(admin, request.stream())
    answer = encode({"files": staged.files, "bytes": staged.bytes})
    return JsonBytes(answer, status_code=202, background=BackgroundTask(_restart, services))


async def _restart(services: Services) -> None:
    services.restore.restart()
