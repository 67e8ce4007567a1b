"""One task: what it is, what became of it, attempt by attempt, and the buttons that its state allows."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from headrace.errors import Conflict
from headrace.kit.ids import format_id
from headrace.kit.times import MINUTE, SECOND
from headrace.model.principal import Principal
from headrace.model.task import FINISHED, Status, Task
from headrace.model.task_journal import TASKS_BUCKET
from headrace.services import Services
from headrace.tasks.bulk import BULK_TYPE
from headrace.tasks.render import task_json
from headrace.web.answers import JsonBytes, attachment
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.console.pages.explore.marks import plain, visible
from headrace.web.console.pages.tasks.every import owners_of
from headrace.web.console.pages.tasks.timeline import timeline
from headrace.web.console.pages.tasks.words import KINDS, allowed, pretty, progress_of, took

routes = pages("Tasks")

_OFTEN, _SELDOM = 2, 10  # seconds between two looks: at what moves, and at what waits for its time
_LONGEST_ERROR = 8_000  # characters
_LINGERS = 15 * SECOND  # after its end: its last events come a moment later


@routes.get("/tasks/{id}")
async def one(request: Request, me: Visitor, services: Has) -> Response:
    """The page."""
    return show(request, "tasks/task.html", **await _shown(request, me, services))


@routes.get("/tasks/{id}/part/live")
async def live(request: Request, me: Visitor, services: Has) -> Response:
    """What moves; nothing when it is what the page shows already."""
    values = await _shown(request, me, services)
    if values["digest"] == request.query_params.get("seen"):
        return Response(status_code=204)
    return show(request, "tasks/_task.html", **values)


@routes.get("/tasks/{id}/json")
async def raw(request: Request, me: Visitor, services: Has) -> Response:
    """As the API answers it, whole."""
    return JsonBytes(task_json(await services.tasks.get(me, request.path_params["id"])))


@routes.get("/tasks/{id}/file")
async def file(request: Request, me: Visitor, services: Has) -> Response:
    """What an export left."""
    made = await services.exports.open(me, request.path_params["id"])
    headers = {"content-disposition": attachment(made.file_name), "content-length": str(made.size)}
    return StreamingResponse(made.chunks, media_type=made.content_type, headers=headers | {"cache-control": "no-store"})


@routes.post("/tasks/{id}/retry")
async def retry(request: Request, me: Visitor, services: Has) -> Response:
    task = await services.tasks.retry(me, request.path_params["id"])
    return done(request, f"/tasks/{format_id(task.id)}", "task-retried")


@routes.post("/tasks/{id}/cancel")
async def cancel(request: Request, me: Visitor, services: Has) -> Response:
    task = await services.tasks.cancel(me, request.path_params["id"])
    return done(request, f"/tasks/{format_id(task.id)}", "task-cancelled")


@routes.get("/tasks/{id}/delete")
async def ask_delete(request: Request, me: Visitor, services: Has) -> Response:
    """Raises Conflict while it is unfinished."""
    task = await services.tasks.get(me, request.path_params["id"])
    (await services.tasks.rights(me)).check(task, request.path_params["id"], changing=True)
    if task.status not in FINISHED:
        raise Conflict(f"This task is {task.status.value}: cancel it before you delete it.", code="task-state")
    return show(request, "tasks/delete.html", id=format_id(task.id), type=plain(task.type, 128))


@routes.post("/tasks/{id}/delete")
async def delete(request: Request, me: Visitor, services: Has) -> Response:
    await services.tasks.delete(me, request.path_params["id"])
    return done(request, "/tasks", "task-deleted")


async def _shown(request: Request, me: Principal, services: Services) -> dict[str, Any]:
    """Raises NotFound."""
    task = await services.tasks.get(me, request.path_params["id"])
    rights = await services.tasks.rights(me)
    may_change = rights.manages_all or task.owner == rights.owner
    happened = await timeline(task, me, services)
    owners = await owners_of([task.owner], me, services)
    said = repr((task, happened.newest, happened.count, happened.trouble))
    return {
        "id": format_id(task.id), "task": task, "title": plain(task.type, 128), "badges": KINDS,
        "may": allowed(task, may_change=may_change), "may_copy": task.type != BULK_TYPE,
        "owner": owners.get(task.owner, task.owner), "took": took(task), "waited": _waited(task),
        "task_error": visible(task.error or "", _LONGEST_ERROR, lines=True),
        "args": pretty(task.args), "result": pretty(task.result), "progress": progress_of(task),
        "happened": happened, "events": f"/explore/{TASKS_BUCKET}?attr.task_id={format_id(task.id)}",
        "digest": hashlib.blake2b(said.encode(errors="replace"), digest_size=9).hexdigest(),
        "every": _every(task, services.clock.now()),
    }  # fmt: skip


def _waited(task: Task) -> float | None:
    """Seconds from when it could begin until it did."""
    if task.started_at is None:
        return None
    return max(0, task.started_at - max(task.created_at, task.run_at or 0)) / SECOND


def _every(task: Task, now: int) -> int | None:
    """Seconds until the page looks again; None: nothing happens to it any more."""
    if task.status in FINISHED:
        return _OFTEN if task.finished_at is not None and now - task.finished_at < _LINGERS else None
    return _OFTEN if task.status is Status.RUNNING or now - task.created_at < MINUTE else _SELDOM
