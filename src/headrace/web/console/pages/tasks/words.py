"""A task in words: its state, how far it is, how long it took, its JSON for people. All text of others is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from markupsafe import Markup

from headrace.kit.ids import format_id
from headrace.kit.times import SECOND
from headrace.model.task import FINISHED, RETRIABLE, UNFINISHED, Status, Task
from headrace.query.export_task import EXPORT_TYPE
from headrace.web.console.pages.explore.marks import visible

KINDS: Final[Mapping[Status, str]] = {
    Status.SCHEDULED: "", Status.QUEUED: "", Status.RUNNING: "accent", Status.SUCCEEDED: "ok",
    Status.FAILED: "bad", Status.DEAD: "bad", Status.CANCELLED: "warn",
}  # fmt: skip
"""The badge of each state; the word beside it says the same."""
_SHOWN = 12_000  # characters of args or a result in the page; /tasks/{id}/json has all of it
_EXCERPT = 140
_DEEPEST = 200  # levels that are indented: deeper JSON is shown as it came


@dataclass(frozen=True, slots=True)
class Json:
    """`is_cut`: there is more of it."""

    html: Markup
    is_cut: bool
    is_empty: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """`share` is from 0 to 1, if the handler says one."""

    share: float | None
    note: Markup


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the list."""

    id: str
    task: Task
    type: Markup
    excerpt: Markup
    progress: Progress | None
    took: float | None
    """Seconds of the last attempt, if it ended."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the state of the task and the rights of the visitor let happen now."""

    retry: bool
    cancel: bool
    delete: bool
    file: bool


def row_of(task: Task) -> Row:
    text = task.error or ("" if task.args in (b"", b"{}") else task.args[: 4 * _EXCERPT].decode(errors="replace"))
    progress = progress_of(task) if task.status is Status.RUNNING else None
    return Row(format_id(task.id), task, visible(task.type), visible(text, _EXCERPT), progress, took(task))


def took(task: Task) -> float | None:
    if task.started_at is None or task.finished_at is None:
        return None
    return max(0, task.finished_at - task.started_at) / SECOND


def allowed(task: Task, *, may_change: bool) -> Allowed:
    return Allowed(
        retry=may_change and task.status in RETRIABLE,
        cancel=may_change and task.status in UNFINISHED and not task.cancelling,
        delete=may_change and task.status in FINISHED,
        file=task.type == EXPORT_TYPE and task.status is Status.SUCCEEDED,
    )


def pretty(raw: bytes | None) -> Json | None:
    """With every digit and in its own order: never through a float."""
    if raw is None:
        return None
    text = _indented(raw).decode(errors="replace")
    return Json(visible(text, _SHOWN, lines=True), len(text) > _SHOWN, raw in (b"", b"{}"))


def _indented(raw: bytes) -> bytes:
    if raw.count(b"[") + raw.count(b"{") > _DEEPEST * 50:  # a text of brackets alone grows with the square of its depth
        return raw
    try:
        made: bytes = msgspec.json.format(raw, indent=2)
    except (msgspec.MsgspecError, RecursionError):
        return raw
    return made


def progress_of(task: Task) -> Progress | None:
    """A number from 0 to 1, `{"value": …, "note": …}`, or whatever else the handler told."""
    if task.progress is None:
        return None
    try:
        told: Any = msgspec.json.decode(task.progress)
    except (msgspec.MsgspecError, RecursionError):
        return None
    if not isinstance(told, dict):
        return _progress(told, "")
    if "value" in told:
        return _progress(told["value"], told.get("note", ""))
    return Progress(None, visible(", ".join(f"{name} {value}" for name, value in told.items()), _EXCERPT))


def _progress(value: object, note: object) -> Progress:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else -1.0
    share = number if 0 <= number <= 1 else None
    words = [] if share is not None else [str(value)]
    return Progress(share, visible(" · ".join([*words, *([str(note)] if note else [])]), _EXCERPT))
