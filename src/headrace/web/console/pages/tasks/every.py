"""The list of tasks: filters, states with their counts, the newest first, and how it stays up to date.

Rows never move under a hand: while somebody points at the list, has the focus in it or has chosen some, the page asks
for it as of the task that is shown first, and is told how many have come since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from headrace.errors import HeadraceError, Malformed, Retriable
from headrace.kit.ids import format_id, parse_id
from headrace.model.principal import API_KEY, USER, Principal
from headrace.model.task import Status, TaskCount, TaskFilter
from headrace.services import Services
from headrace.tasks.desk import TaskPage
from headrace.web.api.root import address_here
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.pages.admin_answers import show
from headrace.web.console.pages.audit.names import names_of
from headrace.web.console.pages.tasks.asked import RANGES, Asked, read
from headrace.web.console.pages.tasks.words import KINDS, Row, row_of
from headrace.web.errors import status_of
from headrace.web.param import pairs_of

routes = pages("Tasks")

_ON_A_PAGE = 50
_MOST_TYPES = 200  # that are proposed


@dataclass(frozen=True, slots=True)
class Chip:
    label: str
    count: int | None
    link: str
    is_chosen: bool
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """`newer`: how many have come since the first one that is shown."""

    rows: Sequence[Row] = ()
    next_cursor: str | None = None
    newer: int = 0
    trouble: HeadraceError | None = None


@routes.get("/tasks")
async def every(request: Request, me: Visitor, services: Has) -> Response:
    """The page."""
    values = await _list(request, me, services)
    types = sorted({count.type for count in values["counts"]})[:_MOST_TYPES]
    return _answer(
        request, "tasks/list.html", values, types=types, ranges=RANGES, example=_example(request),
    )  # fmt: skip


@routes.get("/tasks/part/list")
async def part(request: Request, me: Visitor, services: Has) -> Response:
    """What moves; nothing when it is what the page shows already."""
    values = await _list(request, me, services)
    if values["digest"] == values["asked"].seen:
        return Response(status_code=204)
    return _answer(request, "tasks/_list.html", values)


def _answer(request: Request, name: str, values: Mapping[str, Any], **more: object) -> Response:
    trouble: HeadraceError | None = values["found"].trouble
    response = show(request, name, status_of(trouble) if trouble else 200, **values, **more)
    if isinstance(trouble, Retriable):
        response.headers["retry-after"] = str(max(1, round(trouble.retry_after)))
    return response


async def _list(request: Request, me: Principal, services: Services) -> dict[str, Any]:
    asked = read(pairs_of(request))
    rights = await services.tasks.rights(me)
    found = await _found(asked, me, services)
    counts = await _counts(asked, me, services)
    owners = await owners_of((row.task.owner for row in found.rows), me, services) if rights.sees_all else None
    return {
        "asked": asked, "found": found, "owners": owners, "my_id": rights.owner, "counts": counts,
        "chips": _chips(asked, counts), "digest": _digest(found, counts),
        "is_first": asked.cursor is None, "badges": KINDS,
        "has_none": not found.rows and not asked.pairs and asked.cursor is None and found.trouble is None,
    }  # fmt: skip


async def _found(asked: Asked, me: Principal, services: Services) -> Found:
    """A page of tasks, or why there is none."""
    try:
        wanted = asked.filter(services.clock.now())
        page = await services.tasks.list(me, wanted, limit=_ON_A_PAGE, cursor=asked.cursor)
        newer = 0
        if asked.first is not None and asked.cursor is None:
            first = _number(asked.first)
            newer = sum(task.id > first for task in page.tasks)
            if newer:
                page = await _behind(first, wanted, me, services)
    except (Malformed, Retriable) as exc:
        return Found(trouble=exc)
    return Found([row_of(task) for task in page.tasks], page.next_cursor, newer)


async def _behind(first: int, wanted: TaskFilter, me: Principal, services: Services) -> TaskPage:
    return await services.tasks.list(me, wanted, limit=_ON_A_PAGE, cursor=format_id(first + 1))


def _number(text: str) -> int:
    try:
        return parse_id(text)
    except ValueError:
        raise Malformed("`from` is not the id of a task.") from None


async def _counts(asked: Asked, me: Principal, services: Services) -> Sequence[TaskCount]:
    """By type and state; none while they cannot be asked."""
    try:
        return await services.tasks.counts(me, asked.value("owner") or None)
    except Retriable:
        return ()


def _chips(asked: Asked, counts: Iterable[TaskCount]) -> list[Chip]:
    """Each state, and all of them. Their numbers are left out where other filters would make them wrong."""
    types = asked.values("type")
    by_status = dict.fromkeys(Status, 0)
    for count in counts:
        if not types or count.type in types:
            by_status[count.status] += count.count
    known, chosen = asked.is_counted, asked.values("status")
    everything = Chip("all", sum(by_status.values()) if known else None, asked.having("status").link(), not chosen)
    return [everything] + [
        Chip(status.value, n if known else None, asked.toggled(status).link(), status.value in chosen, KINDS[status])
        for status, n in by_status.items()
    ]


def _digest(found: Found, counts: Sequence[TaskCount]) -> str:
    """Of all that can change on the page."""
    said = repr(([row.task for row in found.rows], found.newer, found.next_cursor, counts, found.trouble))
    return hashlib.blake2b(said.encode(errors="replace"), digest_size=9).hexdigest()


async def owners_of(ids: Iterable[str], me: Principal, services: Services) -> dict[str, str]:
    """Id → name, of users and of keys that nobody owns; those that the visitor may not look up are left out."""
    wanted = [(kind, owner) for owner in dict.fromkeys(ids) for kind in (API_KEY, USER)]
    return {me.owner_id or me.id: "me"} | await names_of([one for one in wanted if one[1] != me.id], me, services)


def _example(request: Request) -> str:
    """A first task, for a terminal."""
    return (
        f'curl {address_here(request)}/v1/tasks -H "Authorization: Bearer $HEADRACE_KEY" \\\n'
        """  -H "Content-Type: application/json" -d '{"type": "add", "args": {"a": 5, "b": 10}}'"""
    )
