"""What the form of a task and the form of a schedule have in common: type, args, queue, priority."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from fastapi import Request

from headrace.errors import Conflict, Forbidden, HeadraceError, Invalid, Malformed, NotFound, TooLarge
from headrace.kit.json_text import UNDECODABLE
from headrace.model.task import DEFAULT_PRIORITY, DEFAULT_QUEUE
from headrace.web.console.pages.admin_forms import Form, sentence

_REFUSALS = (Invalid, Conflict, Forbidden, NotFound, Malformed, TooLarge)
_FIELDS: Final = frozenset(
    {"type", "args", "queue", "priority", "delay", "max_attempts", "name", "cron", "timezone", "jitter", "catch_up"}
)
MOST_TYPES: Final = 200


class TaskForm(Form):
    """`with form:` takes what is refused to its field: what is wrong in `args.a` is said beside the args."""

    def refuse(self, error: HeadraceError) -> None:
        for item in error.items:
            path = (item.field or "").removeprefix("task.").split(".")
            words = sentence(item.detail.replace("`", ""))
            if path[0] in _FIELDS:
                inside = ".".join(path[1:])
                self.wrong(path[0], f"{inside}: {words}" if inside and inside not in words else words)
            elif not self.problem:
                self.problem = words
        if self.ok:
            self.problem = error.detail

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, _REFUSALS):
            self.refuse(error)
            return True
        return False

    def body(self, around: Mapping[str, object] = {}) -> bytes | None:
        """The task as JSON, with `around` for what no field is about. None: something is wrong, and is said."""
        args = self.args()
        priority = self.whole("priority", 0, 9, DEFAULT_PRIORITY)
        if args is None or priority is None:
            return None
        body: dict[str, object] = {**around, "type": self.text("type"), "args": msgspec.Raw(args)}
        body |= {"queue": self.text("queue") or DEFAULT_QUEUE, "priority": priority}
        return msgspec.json.encode(body)

    def args(self) -> bytes | None:
        """As they were typed, byte by byte."""
        text = self.text("args") or "{}"
        try:
            raw = text.encode()
            told: Any = msgspec.json.decode(raw)
        except (*UNDECODABLE, UnicodeEncodeError) as exc:
            self.wrong("args", f"This is no JSON: {sentence(str(exc)[:200])}")
            return None
        if isinstance(told, dict):
            return raw
        self.wrong("args", 'Must be a JSON object, such as {"a": 5, "b": 10}.')
        return None

    def whole(self, name: str, least: int, most: int, otherwise: int) -> int | None:
        """A whole number; nothing typed is `otherwise`."""
        text = self.text(name)
        if not text:
            return otherwise
        if text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most:
            return int(text)
        self.wrong(name, f"Must be a whole number from {least} to {most:,}.")
        return None


async def task_form(request: Request) -> TaskForm:
    """The form that was sent."""
    sent = await request.form()
    return TaskForm(((name, value) for name, value in sent.multi_items() if isinstance(value, str)), sent=True)
