"""Queues of tasks: how much waits, pause and limits, and leasing from one."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Request
from starlette.responses import Response

from headrace.model.task import MAX_LEASE_SECONDS, QueueChanges
from headrace.tasks.queues import check_queue_name
from headrace.tasks.render import queue_dict, task_json
from headrace.web import schemas_tasks as shapes
from headrace.web.answers import JsonBytes, encode
from headrace.web.bodies_tasks import MOST_AT_ONCE, MOST_LEASED, LeaseAsked, QueueChange
from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.json_body import JsonBody
from headrace.web.params_tasks import MOST_WAIT, QUEUE_PATH, seconds, whole
from headrace.web.waiting import presence

routes = router("Tasks")

_CHANGE = JsonBody(QueueChange)
_LEASE = JsonBody(LeaseAsked, required=False)


@routes.get("/v1/queues", response_model=shapes.QueueList, summary="List queues", operation_id="list_queues")
async def every(caller: Caller, services: Has) -> Response:
    """By name, with how many of the tasks that you may see wait and run."""
    now = services.clock.now()
    queues = [queue_dict(queue, now) for queue in await services.task_queues.list(caller)]
    return JsonBytes(encode({"queues": queues}))


@routes.patch(
    "/v1/queues/{queue}",
    response_model=shapes.QueueAnswer,
    summary="Pause or limit a queue",
    operation_id="change_queue",
    openapi_extra=documented(path=[QUEUE_PATH], requestBody=_CHANGE.documented()),
)
async def change(request: Request, caller: Caller, services: Has) -> Response:
    """For administrators, and who may `manage` the bucket `_tasks`. What runs goes on; limits are of all workers."""
    given: dict[str, Any] = msgspec.structs.asdict(await _CHANGE.read(request))
    if isinstance(concurrency := given["concurrency"], (int, float)):
        given["concurrency"] = whole("concurrency", concurrency, 1, MOST_AT_ONCE)
    changes = QueueChanges(**{name: value for name, value in given.items() if value is not msgspec.UNSET})
    queue = await services.task_queues.change(caller, request.path_params["queue"], changes)
    return JsonBytes(encode(queue_dict(queue, services.clock.now())))


@routes.post(
    "/v1/queues/{queue}/lease",
    response_model=shapes.Leased,
    summary="Lease tasks",
    operation_id="lease_tasks",
    openapi_extra=documented(path=[QUEUE_PATH], requestBody=_LEASE.documented()),
)
async def lease(request: Request, caller: Caller, services: Has) -> Response:
    """Tasks of your own to run (of everybody, who may `manage` the bucket `_tasks`). Without any the answer waits for
    `wait`. Each is yours until its lease ends: say heartbeat, complete, fail or release with its number."""
    asked = await _LEASE.read(request)
    queue = request.path_params["queue"]
    check_queue_name(queue)
    most = whole("max", asked.max, 1, MOST_LEASED)
    wait = seconds("wait", asked.wait, 0, MOST_WAIT)
    held = seconds("lease_seconds", asked.lease_seconds, 1, MAX_LEASE_SECONDS)
    types = frozenset(asked.types) if isinstance(asked.types, list) else None
    async with presence(request) as there:
        tasks = await services.leasing.lease(
            caller, queue, most=most, seconds=held, wait=wait, types=types, there=there
        )
    return JsonBytes(b'{"tasks":[' + b",".join([task_json(task, leased=True) for task in tasks]) + b"]}")
