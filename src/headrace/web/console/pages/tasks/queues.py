"""Queues of tasks: what waits in each and for how long; pause and limits for whoever manages them."""

from __future__ import annotations

import hashlib
from typing import Any

from fastapi import Request
from starlette.responses import Response

from headrace.errors import NotFound
from headrace.kit.times import SECOND
from headrace.model.principal import Principal
from headrace.model.task import QueueChanges, TaskQueue
from headrace.services import Services
from headrace.tasks.wire import is_queue_name
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.console.pages.admin_forms import Form, typed

routes = pages("Tasks")

_LEAST_RATE, _MOST_RATE, _MOST_AT_ONCE = 0.001, 1_000_000, 1_000_000  # as the API has them


@routes.get("/tasks/queues")
async def every(request: Request, me: Visitor, services: Has) -> Response:
    return show(request, "tasks/queues.html", **await _shown(me, services))


@routes.get("/tasks/queues/part/list")
async def part(request: Request, me: Visitor, services: Has) -> Response:
    """What moves; nothing when it is what the page shows already."""
    values = await _shown(me, services)
    if values["digest"] and values["digest"] == request.query_params.get("seen"):
        return Response(status_code=204)
    return show(request, "tasks/_queues.html", **values)


@routes.get("/tasks/queues/{queue}")
async def one(request: Request, me: Visitor, services: Has) -> Response:
    """Its limits."""
    return show(request, "tasks/queue.html", queue=await _managed(request, me, services), form=Form())


@routes.post("/tasks/queues/{queue}/limits")
async def limit(request: Request, me: Visitor, services: Has) -> Response:
    queue = await _managed(request, me, services)
    form = await typed(request)
    concurrency = form.number("concurrency", _MOST_AT_ONCE, "for no limit")
    rate = _rate(form)
    if form.ok:
        with form:
            changes = QueueChanges(concurrency=concurrency, rate_limit=rate)
            await services.task_queues.change(me, queue.name, changes)
            return done(request, "/tasks/queues", "queue-limited")
    return show(request, "tasks/queue.html", 422, queue=queue, form=form)


@routes.post("/tasks/queues/{queue}/pause")
async def pause(request: Request, me: Visitor, services: Has) -> Response:
    await services.task_queues.change(me, request.path_params["queue"], QueueChanges(paused=True))
    return done(request, "/tasks/queues", "queue-paused")


@routes.post("/tasks/queues/{queue}/resume")
async def resume(request: Request, me: Visitor, services: Has) -> Response:
    await services.task_queues.change(me, request.path_params["queue"], QueueChanges(paused=False))
    return done(request, "/tasks/queues", "queue-resumed")


async def _shown(me: Principal, services: Services) -> dict[str, Any]:
    rights, now = await services.tasks.rights(me), services.clock.now()
    queues = await services.task_queues.list(me)
    shown = [(queue, None if queue.oldest is None else max(0, now - queue.oldest) / SECOND) for queue in queues]
    digest = hashlib.blake2b(repr(queues).encode(), digest_size=9).hexdigest()
    waits = any(queue.oldest is not None for queue in queues)  # then an age on the page grows
    return {"queues": shown, "may_manage": rights.manages_all, "digest": "" if waits else digest}


async def _managed(request: Request, me: Principal, services: Services) -> TaskQueue:
    """Raises Forbidden, and NotFound for what is no name of a queue."""
    (await services.tasks.rights(me)).require_managing()
    name = request.path_params["queue"]
    if not is_queue_name(name):
        raise NotFound(f"{name[:64]!r} is no name of a queue.", code="unknown-queue")
    return next((queue for queue in await services.task_queues.list(me) if queue.name == name), TaskQueue(name))


def _rate(form: Form) -> float | None:
    text = form.text("rate_limit").replace(",", "")
    if not text:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if _LEAST_RATE <= rate <= _MOST_RATE:
        return rate
    form.wrong("rate_limit", "Must be a number from 0.001 to 1,000,000; leave it blank for no limit.")
    return None
