"""Tasks: look, wait, change, stop, try again, and run them over HTTP. Submitting them is web/write_tasks.py."""

from __future__ import annotations

from fastapi import Request
from starlette.convertors import Convertor, register_url_convertor
from starlette.responses import Response

from headrace.kit.times import format_time
from headrace.model.bucket import UNSET, Unset
from headrace.model.task import MAX_LEASE_SECONDS, Task, TaskChanges
from headrace.tasks.leasing import MAX_ERROR, MAX_PROGRESS_BYTES
from headrace.tasks.render import task_json
from headrace.tasks.wire import MAX_SECONDS
from headrace.web import schemas_tasks as shapes
from headrace.web.answers import JsonBytes, encode
from headrace.web.bodies_tasks import BulkAsked, Completion, Failure, Heartbeat, Release, TaskChange
from headrace.web.deps import Caller, Has
from headrace.web.door import documented, router
from headrace.web.json_body import JsonBody, field_error
from headrace.web.param import ask
from headrace.web.params import CURSOR, LIMIT, OFFSET
from headrace.web.params_tasks import (
    TASK_FILTERS,
    TASK_PATH,
    WAIT,
    filter_in,
    filter_of,
    lease,
    log_lines,
    seconds,
    time,
    whole,
)
from headrace.web.waiting import presence

routes = router("Tasks")


class _TaskId(Convertor[str]):
    """`batch` and `bulk` are no ids: what cannot be done to those is 405, not a task that is not there."""

    regex = "(?!(?:batch|bulk)$)[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("task", _TaskId())
ONE_TASK = "/v1/tasks/{id:task}"
COMPLETE_END = "/complete"

_CHANGE = JsonBody(TaskChange)
_BULK = JsonBody(BulkAsked)
_HEARTBEAT = JsonBody(Heartbeat)
_COMPLETION = JsonBody(Completion)
_FAILURE = JsonBody(Failure)
_RELEASE = JsonBody(Release)


@routes.get(
    "/v1/tasks",
    response_model=shapes.TaskPage,
    summary="List tasks",
    operation_id="list_tasks",
    openapi_extra=documented(*TASK_FILTERS, LIMIT, CURSOR, OFFSET),
)
async def page(request: Request, caller: Caller, services: Has) -> Response:
    """Those that you may see and that match all of the filters, the newest first. A repeated filter means any of its
    values, but for `q`."""
    found = await services.tasks.list(
        caller,
        filter_of(request, services),
        limit=ask(request, LIMIT),
        cursor=ask(request, CURSOR),
        offset=ask(request, OFFSET),
    )
    tasks = b",".join([task_json(task) for task in found.tasks])
    cursor = b',"next_cursor":' + encode(found.next_cursor) if found.next_cursor else b""
    return JsonBytes(b'{"tasks":[' + tasks + b"]" + cursor + b"}")


@routes.post(
    "/v1/tasks/bulk",
    status_code=202,
    response_model=shapes.Task,
    summary="Cancel or retry many tasks",
    operation_id="change_tasks",
    openapi_extra=documented(requestBody=_BULK.documented()),
)
async def bulk(request: Request, caller: Caller, services: Has) -> Response:
    """The task that does it, to all that match and that you may change. Its result says how many there were."""
    asked = await _BULK.read(request)
    return _answer(await services.tasks.bulk(caller, asked.action, filter_in(asked.filter, services)), 202)


@routes.get(
    ONE_TASK,
    response_model=shapes.Task,
    summary="Get a task",
    operation_id="get_task",
    openapi_extra=documented(WAIT, path=[TASK_PATH]),
)
async def one(request: Request, caller: Caller, services: Has) -> Response:
    """As it is now; with `wait` as it is at its end, or after that time."""
    asked, wait = request.path_params["id"], ask(request, WAIT)
    if not wait:
        return _answer(await services.tasks.get(caller, asked))
    async with presence(request) as there:
        return _answer(await services.tasks.get(caller, asked, wait, there))


@routes.patch(
    ONE_TASK,
    response_model=shapes.Task,
    summary="Change a task",
    operation_id="change_task",
    openapi_extra=documented(path=[TASK_PATH], requestBody=_CHANGE.documented()),
)
async def change(request: Request, caller: Caller, services: Has) -> Response:
    """While it is scheduled or queued. `run_at: null` runs it as soon as there is room."""
    asked = await _CHANGE.read(request)
    changes = TaskChanges(
        args=bytes(asked.args) or UNSET,
        priority=whole("priority", asked.priority, 0, 9) if isinstance(asked.priority, (int, float)) else UNSET,
        run_at=_run_at(asked),
    )
    return _answer(await services.tasks.change(caller, request.path_params["id"], changes))


@routes.post(
    f"{ONE_TASK}/cancel",
    response_model=shapes.Task,
    summary="Cancel a task",
    operation_id="cancel_task",
    openapi_extra=documented(path=[TASK_PATH]),
)
async def cancel(request: Request, caller: Caller, services: Has) -> Response:
    """At once while it waits. A running one is asked to stop, and then by force."""
    return _answer(await services.tasks.cancel(caller, request.path_params["id"]))


@routes.post(
    f"{ONE_TASK}/retry",
    response_model=shapes.Task,
    summary="Try a task again",
    operation_id="retry_task",
    openapi_extra=documented(path=[TASK_PATH]),
)
async def retry(request: Request, caller: Caller, services: Has) -> Response:
    """One that is failed, dead or cancelled, or waits for its time: now, and from its first attempt on."""
    return _answer(await services.tasks.retry(caller, request.path_params["id"]))


@routes.delete(
    ONE_TASK,
    response_model=shapes.Task,
    summary="Delete a task",
    operation_id="delete_task",
    openapi_extra=documented(path=[TASK_PATH]),
)
async def delete(request: Request, caller: Caller, services: Has) -> Response:
    """A finished one, for good. The answer is the task as it was."""
    return _answer(await services.tasks.delete(caller, request.path_params["id"]))


# --- For whoever leased it ----------------------------------------------------------------------------------------


@routes.post(
    f"{ONE_TASK}/heartbeat",
    response_model=shapes.Held,
    summary="Hold a leased task",
    operation_id="heartbeat",
    openapi_extra=documented(path=[TASK_PATH], requestBody=_HEARTBEAT.documented()),
)
async def heartbeat(request: Request, caller: Caller, services: Has) -> Response:
    """Three times in a lease is often enough. 409 `lease-lost`: another worker has it, or will have; do no more."""
    asked = await _HEARTBEAT.read(request)
    progress = bytes(asked.progress) or None
    if progress is not None and len(progress) > MAX_PROGRESS_BYTES:
        raise field_error("progress", f"may have {MAX_PROGRESS_BYTES} bytes as JSON", "progress-too-large")
    heard = await services.leasing.heartbeat(
        caller,
        request.path_params["id"],
        lease(asked.lease),
        seconds=seconds("lease_seconds", asked.lease_seconds, 1, MAX_LEASE_SECONDS),
        progress=progress,
        logs=log_lines(asked.logs),
    )
    told: dict[str, object] = {} if heard.leased_until is None else {"leased_until": format_time(heard.leased_until)}
    return JsonBytes(encode(told | ({"cancelling": True} if heard.cancelling else {})))


@routes.post(
    f"{ONE_TASK}{COMPLETE_END}",
    response_model=shapes.Task,
    summary="Complete a leased task",
    operation_id="complete_task",
    openapi_extra=documented(path=[TASK_PATH], requestBody=_COMPLETION.documented()),
)
async def complete(request: Request, caller: Caller, services: Has) -> Response:
    """It succeeded. 409 `lease-lost`: it did not count, since the lease was over."""
    asked = await _COMPLETION.read(request)
    result, logs = bytes(asked.result) or None, log_lines(asked.logs)
    return _answer(
        await services.leasing.complete(caller, request.path_params["id"], lease(asked.lease), result, logs)
    )


@routes.post(
    f"{ONE_TASK}/fail",
    response_model=shapes.Task,
    summary="Say that a leased task failed",
    operation_id="fail_task",
    openapi_extra=documented(path=[TASK_PATH], requestBody=_FAILURE.documented()),
)
async def fail(request: Request, caller: Caller, services: Has) -> Response:
    """It is tried again later, unless `permanent` says that it is no use or its attempts are used up."""
    asked = await _FAILURE.read(request)
    after = asked.retry_after
    task = await services.leasing.fail(
        caller,
        request.path_params["id"],
        lease(asked.lease),
        asked.error[:MAX_ERROR],
        permanent=asked.permanent,
        retry_after=seconds("retry_after", after, 0, MAX_SECONDS) if isinstance(after, (int, float, str)) else None,
        logs=log_lines(asked.logs),
    )
    return _answer(task)


@routes.post(
    f"{ONE_TASK}/release",
    response_model=shapes.Task,
    summary="Give a leased task back",
    operation_id="release_task",
    openapi_extra=documented(path=[TASK_PATH], requestBody=_RELEASE.documented()),
)
async def release(request: Request, caller: Caller, services: Has) -> Response:
    """Untouched: another worker gets it at once, and the attempt does not count."""
    asked = await _RELEASE.read(request)
    return _answer(await services.leasing.release(caller, request.path_params["id"], lease(asked.lease)))


def _answer(task: Task, status: int = 200) -> Response:
    return JsonBytes(task_json(task), status)


def _run_at(asked: TaskChange) -> int | Unset | None:
    if asked.run_at is None:
        return None
    return time("run_at", asked.run_at) if isinstance(asked.run_at, (int, float, str)) else UNSET
