"""What a running handler knows of its task, and can say: progress, log lines, whether it is to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from headrace.handlers.outcome import Cancelled
from headrace.kit.json_value import as_json
from headrace.model.child_message import MAX_LINE_BYTES, MAX_LOG_BYTES, MAX_PROGRESS_BYTES, Line

_LEFT_OUT: Final = "further lines of this attempt are left out: it logged more than 1 MiB"


class Log:
    """Writes events into the task's history: `ctx.log.info("sent", order=17)`. From any thread."""

    __slots__ = ("_left", "_number", "_tell")

    def __init__(self, number: int, tell: Callable[[Line], None]) -> None:
        self._number = number
        self._tell = tell
        self._left = MAX_LOG_BYTES

    def debug(self, message: str, **attributes: object) -> None:
        self._write("debug", message, attributes)

    def info(self, message: str, **attributes: object) -> None:
        self._write("info", message, attributes)

    def warning(self, message: str, **attributes: object) -> None:
        self._write("warning", message, attributes)

    def error(self, message: str, **attributes: object) -> None:
        self._write("error", message, attributes)

    def _write(self, level: str, message: str, attributes: dict[str, object]) -> None:
        if self._left <= 0:
            return
        text, fields = _cut(str(message)), _fields(attributes)
        self._left -= len(text) + len(fields) + 100  # what the rest of its event takes
        if self._left <= 0:
            level, text, fields = "warning", _LEFT_OUT, b""
        self._tell(Line(self._number, time.time_ns() // 1000, level, text, fields))


class Context:
    """Handed to a parameter of this type. `task_id` is the task's UUID, `attempt` counts from 1.

    `lease` is the fencing number: each claim, of whichever task, has a higher one than every claim before. Whoever
    writes elsewhere can send it along, and refuse there what comes with a lower one than was seen already.
    """

    __slots__ = ("_stopping", "_tell_progress", "attempt", "lease", "log", "task_id")

    def __init__(
        self, task_id: str, attempt: int, lease: int, log: Log, tell_progress: Callable[[bytes], None]
    ) -> None:
        self.task_id = task_id
        self.attempt = attempt
        self.lease = lease
        self.log = log
        self._tell_progress = tell_progress
        self._stopping = False

    @property
    def cancelled(self) -> bool:
        """Whether the task is asked to stop. An async handler is told by `asyncio.CancelledError` as well."""
        return self._stopping

    def check(self) -> None:
        """Raises Cancelled once the task is asked to stop: for loops of plain functions."""
        if self._stopping:
            raise Cancelled

    def progress(self, value: object, note: str | None = None) -> None:
        """How far it is: any JSON value of at most 64 KiB; the newest counts. Raises ValueError for others."""
        encoded = as_json(value if note is None else {"value": value, "note": note})
        if len(encoded) > MAX_PROGRESS_BYTES:
            raise ValueError(f"progress of {len(encoded)} bytes: at most {MAX_PROGRESS_BYTES}")
        self._tell_progress(encoded)

    def ask_to_stop(self) -> None:
        """For whoever runs the handler."""
        self._stopping = True


def _cut(text: str) -> str:
    """What a message can be: valid, and at most MAX_LINE_BYTES."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) > MAX_LINE_BYTES:
        return encoded[: MAX_LINE_BYTES - 3].decode("utf-8", "ignore") + "…"
    return encoded.decode("utf-8")


def _fields(attributes: dict[str, object]) -> bytes:
    """A line is never lost because of an attribute: what is no JSON is written as Python shows it."""
    if not attributes:
        return b""
    try:
        encoded = as_json(attributes)
    except ValueError:
        encoded = as_json({name: _cut(repr(value)) for name, value in attributes.items()})
    return encoded if len(encoded) <= MAX_LINE_BYTES else as_json({"left_out": f"{len(encoded)} bytes of attributes"})
