"""What happened to tasks, as events of the bucket `_tasks`: stored beside the tasks in the transaction of the change,
forwarded from there under fixed ids."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from headrace.kit.ids import format_id
from headrace.kit.times import format_time
from headrace.model.task import Status

TASKS_BUCKET: Final = "_tasks"
_LEVELS = {Status.FAILED: "error", Status.DEAD: "error", Status.CANCELLED: "warning"}
_encode = msgspec.json.Encoder().encode


class Change(msgspec.Struct, frozen=True, gc=False):
    """A task that has come into `status`; `detail` says why, where that is not plain. `attempt`: 0 before the first."""

    task_id: int
    type: str
    queue: str
    owner: str
    status: Status
    attempt: int = 0
    detail: str | None = None


class Line(msgspec.Struct, frozen=True, gc=False):
    """What a handler logged. `attributes` is a JSON object, or empty."""

    task_id: int
    type: str
    queue: str
    owner: str
    attempt: int
    time: int
    level: str
    message: str
    attributes: bytes = b""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """`lines` holds `count` events, one a line, whose ids are `first_id`, `first_id` + 1, …; `time` is when (µs)."""

    seq: int
    time: int
    count: int
    first_id: int
    lines: bytes


def lines_of(changes: Iterable[Change], now: int) -> bytes:
    """The changes as events, one a line. 1.3 µs each."""
    time = format_time(now)
    return b"\n".join([_encode(_event(change, time)) for change in changes])


def logged(lines: Iterable[Line]) -> bytes:
    """What handlers logged as events, one a line."""
    return b"\n".join([_encode(_log_event(line)) for line in lines])


def _event(change: Change, time: str) -> dict[str, object]:
    status, kind = change.status.value, change.type
    message = f"{kind} {status}" if change.detail is None else f"{kind} {status}: {change.detail[:1000]}"
    return {
        "time": time,
        "level": _LEVELS.get(change.status, "info"),
        "action": f"task.{status}",
        "actor": {"id": change.owner, "type": "owner"},
        "message": message,
        "attributes": _attributes(change.task_id, change.type, change.queue, change.attempt),
    }


def _log_event(line: Line) -> dict[str, object]:
    attributes = _attributes(line.task_id, line.type, line.queue, line.attempt)
    return {
        "time": format_time(line.time),
        "level": line.level,
        "action": "task.log",
        "actor": {"id": line.owner, "type": "owner"},
        "message": line.message,
        "attributes": {**attributes, "fields": msgspec.Raw(line.attributes)} if line.attributes else attributes,
    }


def _attributes(task_id: int, kind: str, queue: str, attempt: int) -> dict[str, object]:
    return {"task_id": format_id(task_id), "type": kind, "queue": queue, "attempt": attempt}
