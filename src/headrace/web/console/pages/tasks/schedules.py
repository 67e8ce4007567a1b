"""Schedules: when each fires next, in words and in its own zone, and what became of its last task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from fastapi import Request
from markupsafe import Markup
from starlette.responses import Response

from headrace.errors import HeadraceError
from headrace.kit.ids import format_id
from headrace.kit.times import to_datetime
from headrace.model.principal import Principal
from headrace.model.schedule import Schedule
from headrace.model.task import Task
from headrace.services import Services
from headrace.tasks import cron
from headrace.tasks.wire import decode_one
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.pages.admin_answers import show
from headrace.web.console.pages.explore.marks import visible
from headrace.web.console.pages.tasks.every import owners_of
from headrace.web.console.pages.tasks.words import KINDS

routes = pages("Tasks")

UPCOMING = 5
_ON_A_PAGE = 50


@dataclass(frozen=True, slots=True)
class Firing:
    """`local` is the time on the clocks of the schedule's zone."""

    time: int
    local: str


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    schedule: Schedule
    name: Markup
    type: Markup
    upcoming: Sequence[Firing]
    last: Task | None
    last_id: str | None
    may_change: bool


@routes.get("/tasks/schedules")
async def every(request: Request, me: Visitor, services: Has) -> Response:
    return show(request, "tasks/schedules.html", **await _shown(request, me, services))


@routes.get("/tasks/schedules/part/preview")
async def preview(request: Request, services: Has) -> Response:
    """The next five firings of what is typed into the form, or what is wrong with it."""
    text, zone = request.query_params.get("cron", ""), request.query_params.get("timezone", "")
    upcoming, wrong = firings_of(text.strip(), zone.strip() or cron.DEFAULT_TIMEZONE, services)
    return show(request, "tasks/_preview.html", upcoming=upcoming, wrong=wrong, zone=zone)


def firings_of(text: str, zone: str, services: Services) -> tuple[Sequence[Firing], str | None]:
    """(the next firings, what is wrong)."""
    if not text:
        return (), None
    if wrong := cron.check(text, zone):
        return (), wrong[1].replace("`", "")
    times = list(islice(cron.firings(text, zone, services.clock.now()), UPCOMING))
    return firings(times, zone), None if times else "this never fires"


def firings(times: Iterable[int], zone: str) -> list[Firing]:
    return [Firing(time, _local(to_datetime(time).astimezone(ZoneInfo(zone)))) for time in times]


def _local(moment: datetime) -> str:
    return f"{moment:%a} {moment.day} {moment:%b %Y, %H:%M}"


async def _shown(request: Request, me: Principal, services: Services) -> dict[str, Any]:
    rights = await services.tasks.rights(me)
    found = await services.schedules.list(me)
    begin = _begin(request, len(found))
    page = found[begin : begin + _ON_A_PAGE]
    rows = [await _row(one, rights.manages_all or one.owner == rights.owner, me, services) for one in page]
    end = begin + len(page)
    return {
        "rows": rows, "badges": KINDS, "total": len(found), "is_first": begin == 0,
        "after": str(end) if end < len(found) else None,
        "owners": await owners_of((one.owner for one in page), me, services) if rights.sees_all else None,
    }  # fmt: skip


def _begin(request: Request, most: int) -> int:
    text = request.query_params.get("after", "")
    return min(int(text), most) if text.isascii() and text.isdigit() and len(text) < 6 else 0


async def _row(schedule: Schedule, may_change: bool, me: Principal, services: Services) -> Row:
    upcoming = firings(services.schedules.upcoming(schedule, 2), schedule.timezone)
    return Row(
        format_id(schedule.id), schedule, visible(schedule.name), visible(type_of(schedule)), upcoming,
        await _last(schedule, me, services), None if schedule.last_task is None else format_id(schedule.last_task),
        may_change,
    )  # fmt: skip


async def _last(schedule: Schedule, me: Principal, services: Services) -> Task | None:
    """None: there is none, or it is gone."""
    if schedule.last_task is None:
        return None
    try:
        return await services.tasks.get(me, format_id(schedule.last_task))
    except HeadraceError:
        return None


def type_of(schedule: Schedule) -> str:
    try:
        return decode_one(schedule.task).type
    except msgspec.MsgspecError:  # written by another version of this program
        return "?"
