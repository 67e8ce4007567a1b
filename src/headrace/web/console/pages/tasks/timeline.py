"""What happened to a task, by attempt: each new state and each line that its handler logged, from the events of
`_tasks`, with the rights of whoever looks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from markupsafe import Markup

from headrace.errors import HeadraceError, NotFound, Retriable
from headrace.kit.ids import format_id
from headrace.kit.times import MINUTE, SECOND
from headrace.model.event import LEVELS, StoredEvent
from headrace.model.principal import Principal
from headrace.model.query import AttributeMatch, EventFilter
from headrace.model.task import Status, Task
from headrace.model.task_journal import TASKS_BUCKET
from headrace.services import Services
from headrace.web.console.pages.explore.marks import visible

MOST = 300  # entries, the newest; Explore has all of them
_CUT = 4_000  # characters of a message
_LOG = "task.log"


class _Attributes(msgspec.Struct):
    attempt: int = 0
    fields: msgspec.Raw = msgspec.Raw()


@dataclass(frozen=True, slots=True)
class Step:
    """`status` of a change of state, else None: a line of the log. `after`: seconds since the attempt began."""

    time: int
    status: Status | None
    level: str
    text: Markup
    fields: Markup | None
    after: float | None


@dataclass(slots=True)
class Try:
    """One attempt; number 0 is what came before the first."""

    number: int
    steps: list[Step] = field(default_factory=list)
    began: int | None = None
    ended: int | None = None

    @property
    def seconds(self) -> float | None:
        return None if self.began is None or self.ended is None else max(0, self.ended - self.began) / SECOND


@dataclass(frozen=True, slots=True)
class Timeline:
    tries: Sequence[Try] = ()
    newest: int = 0
    count: int = 0
    is_cut: bool = False
    trouble: HeadraceError | None = None


async def timeline(task: Task, me: Principal, services: Services) -> Timeline:
    """Whatever is known of it by now: events come a moment after what they tell of."""
    wanted = EventFilter(
        since=task.created_at - MINUTE, attributes=(AttributeMatch("task_id", (format_id(task.id),)),)
    )  # since: the store need not look into the days before
    try:
        view = services.view(me, await services.buckets.resolve(TASKS_BUCKET))
        page = await services.reader.list(view, wanted, limit=MOST)
    except (Retriable, NotFound) as exc:
        return Timeline(trouble=exc)
    events = sorted(page.events, key=lambda event: (event.time, event.seq))
    newest = max((event.seq for event in events), default=0)
    return Timeline(_tries(events, task), newest, len(events), page.next_cursor is not None)


def _tries(events: Iterable[StoredEvent], task: Task) -> list[Try]:
    tries: list[Try] = []
    for event in events:
        known = _attributes(event)
        if not tries or tries[-1].number != known.attempt:
            tries.append(Try(known.attempt))
        now = tries[-1]
        status = _status(event)
        if status is Status.RUNNING and now.began is None:
            now.began = event.time
        elif status is not None and now.began is not None and now.ended is None:
            now.ended = event.time
        after = None if now.began is None else max(0, event.time - now.began) / SECOND
        now.steps.append(_step(event, known, status, after, task))
    return tries


def _step(event: StoredEvent, known: _Attributes, status: Status | None, after: float | None, task: Task) -> Step:
    text = event.message or ""
    if status is not None:  # the badge says the rest
        text = text.removeprefix(f"{task.type} {status.value}").removeprefix(": ")
    fields = bytes(known.fields).decode(errors="replace")
    return Step(
        event.time, status, LEVELS[event.level], visible(text, _CUT, lines=True),
        visible(fields, _CUT) if fields not in ("", "{}") else None, after,
    )  # fmt: skip


def _status(event: StoredEvent) -> Status | None:
    word = (event.action or "").removeprefix("task.")
    return Status(word) if event.action != _LOG and word in list(Status) else None


def _attributes(event: StoredEvent) -> _Attributes:
    try:
        return msgspec.json.decode(event.attributes or "{}", type=_Attributes)
    except (msgspec.MsgspecError, RecursionError):
        return _Attributes()
