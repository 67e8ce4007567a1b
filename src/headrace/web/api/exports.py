"""The files that `events.export` tasks made."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from headrace.web.answers import attachment, begun
from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.params_tasks import TASK_PATH
from headrace.web.reading import STREAM_HEADERS

routes = router("Tasks")

_ID = TASK_PATH | {"description": "The id of the task that made it."}
_TEXT = {"schema": {"type": "string"}}
_BINARY = {"schema": {"type": "string", "format": "binary"}}


@routes.get(
    "/v1/exports/{id}",
    response_class=Response,
    responses={
        200: {
            "content": {"application/x-ndjson": _TEXT, "text/csv": _TEXT, "application/vnd.apache.parquet": _BINARY},
            "headers": {"Content-Length": {"schema": {"type": "integer"}}},
        }
    },
    summary="Download an export",
    operation_id="download_export",
    openapi_extra=documented(path=[_ID]),
)
async def file(request: Request, caller: Caller, services: Has) -> Response:
    """The file that a task of the type `events.export` made: for those who see the task and may read its bucket now.

    409 while the task is unfinished or when it did not succeed. 410 when the file is gone: it goes with its task, and
    lies on the machine that made it alone.
    """
    found = await services.exports.open(caller, request.path_params["id"])
    headers = {
        "content-disposition": attachment(found.file_name),
        "content-length": str(found.size),
        "content-type": found.content_type,
        **STREAM_HEADERS,
    }
    if request.method == "HEAD":
        return Response(headers=headers)
    return StreamingResponse(await begun(found.chunks), headers=headers)
