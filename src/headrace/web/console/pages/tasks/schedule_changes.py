"""Make, change, delete a schedule, switch it on and off, and run it now."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final
from zoneinfo import available_timezones

import msgspec
from fastapi import Request
from starlette.responses import Response

from headrace.kit.ids import format_id
from headrace.kit.times import SECOND, parse_duration
from headrace.model.principal import Principal
from headrace.model.schedule import CatchUp, Schedule, ScheduleChanges
from headrace.model.task import DEFAULT_PRIORITY, DEFAULT_QUEUE
from headrace.services import Services
from headrace.tasks import cron
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.console.pages.tasks.forms import MOST_TYPES, TaskForm, task_form
from headrace.web.console.pages.tasks.schedules import firings_of

routes = pages("Tasks")

_EVERY = "/tasks/schedules"
_ON_FORM: Final = ("type", "args", "queue", "priority")
CATCH_UPS: Final = (
    (CatchUp.LAST.value, "make up for the newest of them, once"),
    (CatchUp.ALL.value, "make up for each of them (100 at most)"),
    (CatchUp.NONE.value, "leave them out"),
)
_NEW: Final = {
    "name": "", "cron": "0 9 * * 1-5", "timezone": cron.DEFAULT_TIMEZONE, "type": "", "args": "{}",
    "queue": DEFAULT_QUEUE, "priority": str(DEFAULT_PRIORITY), "jitter": "0", "catch_up": CatchUp.LAST.value,
}  # fmt: skip


@routes.get("/tasks/schedules/new")
async def new(request: Request, me: Visitor, services: Has) -> Response:
    return await _page(request, me, services, TaskForm(), None, _NEW)


@routes.post("/tasks/schedules/new")
async def make(request: Request, me: Visitor, services: Has) -> Response:
    form = await task_form(request)
    body, jitter = form.body(), _jitter(form)
    if body is not None and jitter is not None and form.ok:
        with form:
            await services.schedules.create(me, _schedule(form, body, jitter))
            return done(request, _EVERY, "schedule-made")
    return await _page(request, me, services, form, None, _NEW)


@routes.get("/tasks/schedules/{id}")
async def one(request: Request, me: Visitor, services: Has) -> Response:
    schedule = await services.schedules.get(me, request.path_params["id"])
    return await _page(request, me, services, TaskForm(), schedule, _given(schedule))


@routes.post("/tasks/schedules/{id}")
async def change(request: Request, me: Visitor, services: Has) -> Response:
    old = await services.schedules.get(me, request.path_params["id"])
    form = await task_form(request)
    kept = {name: value for name, value in _fields_of(old).items() if name not in _ON_FORM}
    body, jitter = form.body(kept), _jitter(form)
    if body is not None and jitter is not None and form.ok:
        with form:
            asked = _schedule(form, body, jitter)
            changes = ScheduleChanges(
                name=asked.name, cron=asked.cron, timezone=asked.timezone, task=body, jitter=jitter,
                catch_up=asked.catch_up,
            )  # fmt: skip
            await services.schedules.update(me, format_id(old.id), changes)
            return done(request, _EVERY, "schedule-changed")
    return await _page(request, me, services, form, old, {})


@routes.post("/tasks/schedules/{id}/enable")
async def enable(request: Request, me: Visitor, services: Has) -> Response:
    await services.schedules.update(me, request.path_params["id"], ScheduleChanges(enabled=True))
    return done(request, _EVERY, "schedule-enabled")


@routes.post("/tasks/schedules/{id}/disable")
async def disable(request: Request, me: Visitor, services: Has) -> Response:
    await services.schedules.update(me, request.path_params["id"], ScheduleChanges(enabled=False))
    return done(request, _EVERY, "schedule-disabled")


@routes.post("/tasks/schedules/{id}/run")
async def run(request: Request, me: Visitor, services: Has) -> Response:
    """On to the task."""
    task = await services.schedules.run_now(me, request.path_params["id"])
    return done(request, f"/tasks/{format_id(task.id)}", "task-submitted")


@routes.get("/tasks/schedules/{id}/delete")
async def ask_delete(request: Request, me: Visitor, services: Has) -> Response:
    schedule = await services.schedules.get(me, request.path_params["id"])
    return show(request, "tasks/delete_schedule.html", schedule=schedule, id=format_id(schedule.id))


@routes.post("/tasks/schedules/{id}/delete")
async def delete(request: Request, me: Visitor, services: Has) -> Response:
    await services.schedules.delete(me, request.path_params["id"])
    return done(request, _EVERY, "schedule-deleted")


async def _page(
    request: Request, me: Principal, services: Services, form: TaskForm, schedule: Schedule | None,
    given: Mapping[str, str],
) -> Response:  # fmt: skip
    given = {**_NEW, **given}
    zone = form.get("timezone", given["timezone"]).strip() or cron.DEFAULT_TIMEZONE
    upcoming, wrong = firings_of(form.get("cron", given["cron"]).strip(), zone, services)
    rights = await services.tasks.rights(me)
    return show(
        request, "tasks/schedule.html", 200 if form.ok else 422, form=form, given=given, schedule=schedule,
        id=None if schedule is None else format_id(schedule.id), upcoming=upcoming, wrong=wrong, zone=zone,
        may_change=schedule is None or rights.manages_all or schedule.owner == rights.owner,
        handled=services.tasks.handled[:MOST_TYPES], zones=zones(), catch_ups=CATCH_UPS,
    )  # fmt: skip


@cache
def zones() -> list[str]:
    """Names that people choose from; others are good as well."""
    areas = ("Africa/", "America/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/")
    return ["UTC", *sorted(name for name in available_timezones() if name.startswith(areas) and name.count("/") == 1)]


def _schedule(form: TaskForm, body: bytes, jitter: float) -> Schedule:
    catch_up = form.get("catch_up")
    return Schedule(
        id=0, name=form.text("name"), owner="", cron=form.text("cron"),
        timezone=form.text("timezone") or cron.DEFAULT_TIMEZONE, task=body, created_at=0, jitter=jitter,
        catch_up=CatchUp(catch_up) if catch_up in list(CatchUp) else CatchUp.LAST,
    )  # fmt: skip


def _jitter(form: TaskForm) -> float | None:
    """Seconds."""
    try:
        return parse_duration(form.text("jitter") or "0") / SECOND
    except (ValueError, OverflowError):
        form.wrong("jitter", "Must be seconds, or a duration such as 30s or 5m.")
        return None


def _fields_of(schedule: Schedule) -> dict[str, msgspec.Raw]:
    """What the body of its task says, each as it was written."""
    try:
        return msgspec.json.decode(schedule.task, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return {}


def _given(schedule: Schedule) -> dict[str, str]:
    fields = _fields_of(schedule)
    said = {name: bytes(fields[name]) for name in _ON_FORM if name in fields}
    texts: dict[str, str] = {
        name: msgspec.json.decode(said[name], type=str) for name in ("type", "queue") if name in said
    }
    if "args" in said:
        texts["args"] = msgspec.json.format(said["args"], indent=2).decode(errors="replace")
    if "priority" in said:
        texts["priority"] = said["priority"].decode()
    return texts | {
        "name": schedule.name, "cron": schedule.cron, "timezone": schedule.timezone,
        "jitter": f"{schedule.jitter:g}", "catch_up": schedule.catch_up.value,
    }  # fmt: skip
