"""Schedules: make, list, look at, change, delete, and run one now."""

from __future__ import annotations

from typing import Any

import msgspec
from fastapi import Request
from starlette.responses import Response

from headrace.kit.times import format_time
from headrace.model.bucket import UNSET
from headrace.model.schedule import Schedule, ScheduleChanges
from headrace.tasks.render import schedule_dict, task_json
from headrace.tasks.schedules import MAX_JITTER
from headrace.web import schemas_tasks as shapes
from headrace.web.answers import JsonBytes, encode
from headrace.web.bodies_tasks import NewSchedule, ScheduleChange
from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.json_body import JsonBody
from headrace.web.params_tasks import SCHEDULE_PATH, seconds

routes = router("Tasks")

_NEXT = 5  # firings told of one schedule
_NEW = JsonBody(NewSchedule)
_CHANGE = JsonBody(ScheduleChange)


@routes.post(
    "/v1/schedules",
    status_code=201,
    response_model=shapes.Schedule,
    summary="Make a schedule",
    operation_id="make_schedule",
    openapi_extra=documented(requestBody=_NEW.documented()),
)
async def make(request: Request, caller: Caller, services: Has) -> Response:
    """Each firing makes one task, once, however many workers run. 409 when you have one of this name."""
    asked = await _NEW.read(request)
    new = Schedule(
        id=0,
        name=asked.name,
        owner="",
        cron=asked.cron,
        timezone=asked.timezone,
        task=bytes(asked.task),
        created_at=0,
        jitter=seconds("jitter", asked.jitter, 0, MAX_JITTER),
        catch_up=asked.catch_up,
        enabled=asked.enabled,
    )
    return JsonBytes(encode(schedule_dict(await services.schedules.create(caller, new))), 201)


@routes.get(
    "/v1/schedules", response_model=shapes.ScheduleList, summary="List schedules", operation_id="list_schedules"
)
async def every(caller: Caller, services: Has) -> Response:
    """Those that you may see, by name."""
    found = [schedule_dict(schedule) for schedule in await services.schedules.list(caller)]
    return JsonBytes(encode({"schedules": found}))


@routes.get(
    "/v1/schedules/{id}",
    response_model=shapes.ScheduleDetail,
    summary="Get a schedule",
    operation_id="get_schedule",
    openapi_extra=documented(path=[SCHEDULE_PATH]),
)
async def one(request: Request, caller: Caller, services: Has) -> Response:
    """With the times of its next firings."""
    schedule = await services.schedules.get(caller, request.path_params["id"])
    times = [format_time(time) for time in services.schedules.upcoming(schedule, _NEXT)]
    return JsonBytes(encode(schedule_dict(schedule) | {"next": times}))


@routes.patch(
    "/v1/schedules/{id}",
    response_model=shapes.Schedule,
    summary="Change a schedule",
    operation_id="change_schedule",
    openapi_extra=documented(path=[SCHEDULE_PATH], requestBody=_CHANGE.documented()),
)
async def change(request: Request, caller: Caller, services: Has) -> Response:
    """Only what is given changes."""
    asked = await _CHANGE.read(request)
    given: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(asked).items() if value is not msgspec.UNSET
    }
    given["task"] = bytes(asked.task) or UNSET
    if "jitter" in given:
        given["jitter"] = seconds("jitter", given["jitter"], 0, MAX_JITTER)
    changed = await services.schedules.update(caller, request.path_params["id"], ScheduleChanges(**given))
    return JsonBytes(encode(schedule_dict(changed)))


@routes.delete(
    "/v1/schedules/{id}",
    status_code=204,
    summary="Delete a schedule",
    operation_id="delete_schedule",
    openapi_extra=documented(path=[SCHEDULE_PATH]),
)
async def delete(request: Request, caller: Caller, services: Has) -> Response:
    """The tasks that it made stay."""
    await services.schedules.delete(caller, request.path_params["id"])
    return Response(status_code=204)


@routes.post(
    "/v1/schedules/{id}/run",
    status_code=202,
    response_model=shapes.Task,
    summary="Run a schedule now",
    operation_id="run_schedule",
    openapi_extra=documented(path=[SCHEDULE_PATH]),
)
async def run(request: Request, caller: Caller, services: Has) -> Response:
    """One task more, at once; the schedule goes on as before."""
    return JsonBytes(task_json(await services.schedules.run_now(caller, request.path_params["id"])), 202)
