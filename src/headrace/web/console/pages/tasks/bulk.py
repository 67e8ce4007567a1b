"""Cancel or retry several tasks: those that are chosen, or all that match. Asked first, with their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from fastapi import Request
from starlette.responses import Response

from headrace.errors import Conflict, Malformed, NotFound
from headrace.kit.ids import format_id
from headrace.model.principal import Principal
from headrace.model.task import RETRIABLE, UNFINISHED, Status, TaskFilter
from headrace.services import Services
from headrace.web.console.page import Has, Visitor, pages
from headrace.web.console.pages.admin_answers import done, show
from headrace.web.console.pages.admin_forms import Form, typed
from headrace.web.console.pages.tasks.asked import Asked, narrowed, read_query
from headrace.web.param import pairs_of

routes = pages("Tasks")

_MOST_CHOSEN = 200
_MOST_LOOKED_AT = 200  # tasks, to tell how many match what the table does not count
_PAGE = 50


@dataclass(frozen=True, slots=True)
class Action:
    """`to` are the states in which it does something, `usual` those that are meant where none is named."""

    verb: str
    done: str
    to: frozenset[Status]
    usual: frozenset[Status]
    text: str


ACTIONS: Final[Mapping[str, Action]] = {
    "cancel": Action(
        "Cancel", "tasks-cancelled", UNFINISHED, UNFINISHED,
        "Those that wait are cancelled at once, those that run are asked to stop. Finished ones are left alone.",
    ),
    "retry": Action(
        "Retry", "tasks-retried", RETRIABLE, RETRIABLE - {Status.SCHEDULED},
        "They go into their queues again, now, with all of their attempts. Those that succeeded, wait in a queue or "
        "run are left alone.",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Meant:
    """`ids`: those that are chosen; else all of `filter` (None: none of them can be changed). `and_more`: `count` is
    not all of them."""

    action: Action
    word: str
    ids: Sequence[str]
    filter: TaskFilter | None
    count: int
    and_more: bool = False


@routes.get("/tasks/bulk")
async def ask(request: Request, me: Visitor, services: Has) -> Response:
    """The question. `which` is `checked` (with an `id` for each) or `all`, with the filters of the list in `query`."""
    form = Form(pairs_of(request), sent=True)
    asked = read_query(form.get("query"))
    meant = await _meant(form, asked, me, services)
    if meant.count:
        return show(request, "tasks/bulk.html", meant=meant, asked=asked, which=form.get("which"))
    return show(request, "tasks/bulk_none.html", meant=meant, asked=asked, which=form.get("which"))


@routes.post("/tasks/bulk")
async def change(request: Request, me: Visitor, services: Has) -> Response:
    """Those that are chosen at once; all that match by a task, whose page shows how far it is."""
    form = await typed(request)
    asked = read_query(form.get("query"))
    meant = await _meant(form, asked, me, services)
    if meant.ids:
        changed = [await _change(meant.word, task_id, me, services) for task_id in meant.ids]
        return done(request, asked.link(), meant.action.done, sum(changed))
    if meant.filter is None:
        return done(request, asked.link(), meant.action.done, 0)
    task = await services.tasks.bulk(me, meant.word, meant.filter)
    return done(request, f"/tasks/{format_id(task.id)}", "task-submitted")


async def _change(word: str, id: str, me: Principal, services: Services) -> bool:
    """False for one that is not in such a state any more, or gone."""
    try:
        await (services.tasks.cancel(me, id) if word == "cancel" else services.tasks.retry(me, id))
    except (Conflict, NotFound):
        return False
    return True


async def _meant(form: Form, asked: Asked, me: Principal, services: Services) -> Meant:
    """Raises Malformed."""
    word, ids = form.get("action"), form.all("id")[:_MOST_CHOSEN]
    if word not in ACTIONS:
        raise Malformed("`action` is cancel or retry.")
    action = ACTIONS[word]
    if form.get("which") != "all":
        return Meant(action, word, ids, None, len(ids))
    wanted = narrowed(asked.filter(services.clock.now()), action.to, action.usual)
    rights = await services.tasks.rights(me)
    if wanted is None or (not rights.manages_all and wanted.owner not in (None, rights.owner)):
        return Meant(action, word, (), None, 0)
    if not rights.manages_all:
        wanted = msgspec.structs.replace(wanted, owner=rights.owner)
    if asked.is_counted:
        return Meant(action, word, (), wanted, await _counted(wanted, me, services))
    count, and_more = await _looked_up(wanted, me, services)
    return Meant(action, word, (), wanted, count, and_more)


async def _counted(filter: TaskFilter, me: Principal, services: Services) -> int:
    counts = await services.tasks.counts(me, filter.owner)
    return sum(
        one.count for one in counts if one.status in filter.statuses and (not filter.types or one.type in filter.types)
    )


async def _looked_up(filter: TaskFilter, me: Principal, services: Services) -> tuple[int, bool]:
    """(how many, whether there are more): a few at a time, since each brings its args and its result."""
    count, cursor = 0, None
    while count < _MOST_LOOKED_AT:
        page = await services.tasks.list(me, filter, limit=_PAGE, cursor=cursor)
        count, cursor = count + len(page.tasks), page.next_cursor
        if cursor is None:
            return count, False
    return count, True
