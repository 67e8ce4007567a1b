"""A task by hand: its type with those that have a handler here, its args as JSON."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from fastapi import Request
from starlette.responses import Response

from headrace.kit.ids import format_id
from headrace.model.principal import Principal
from headrace.model.task import DEFAULT_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE
from headrace.services import Services
from headrace.tasks.wire import MAX_ATTEMPTS
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.console.pages.tasks.forms import MOST_TYPES, TaskForm, task_form

routes = pages("Tasks")

_LARGEST = 64 * 1024  # args that are put into the form again


@routes.get("/tasks/new")
async def new(request: Request, me: Visitor, services: Has) -> Response:
    """`like`: the task to begin with; `type` and `queue` by themselves."""
    like = request.query_params.get("like")
    given = await _like(like, me, services) if like else {}
    given |= {name: request.query_params[name] for name in ("type", "queue") if name in request.query_params}
    return await _page(request, me, services, TaskForm(), given)


@routes.post("/tasks/new")
async def submit(request: Request, me: Visitor, services: Has) -> Response:
    form = await task_form(request)
    attempts = form.whole("max_attempts", 1, MAX_ATTEMPTS, 0)
    more: dict[str, object] = {"max_attempts": attempts} if attempts else {}
    if delay := form.text("delay"):
        more["delay"] = delay
    body = form.body(more)
    if body is not None and form.ok:
        with form:
            task, _ = await services.submission.one(me, body)
            return done(request, f"/tasks/{format_id(task.id)}", "task-submitted")
    return await _page(request, me, services, form, {})


async def _page(
    request: Request, me: Principal, services: Services, form: TaskForm, given: Mapping[str, str]
) -> Response:
    usual = {"type": "", "args": "{}", "queue": DEFAULT_QUEUE, "priority": str(DEFAULT_PRIORITY), "max_attempts": ""}
    return show(
        request, "tasks/new.html", 200 if form.ok else 422, form=form, given={**usual, **given},
        handled=services.tasks.handled[:MOST_TYPES], queues=await _queues(me, services), attempts=DEFAULT_ATTEMPTS,
    )  # fmt: skip


async def _queues(me: Principal, services: Services) -> list[str]:
    return sorted({DEFAULT_QUEUE, *(queue.name for queue in await services.task_queues.list(me))})


async def _like(id: str, me: Principal, services: Services) -> dict[str, str]:
    """Raises NotFound."""
    task = await services.tasks.get(me, id)
    try:
        args = msgspec.json.format(task.args, indent=2) if len(task.args) <= _LARGEST else b"{}"
    except (msgspec.MsgspecError, RecursionError):
        args = task.args
    return {
        "type": task.type, "args": args.decode(errors="replace"), "queue": task.queue,
        "priority": str(task.priority), "max_attempts": str(task.max_attempts),
    }  # fmt: skip
