"""A handler that is ready to run: its function, and how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headrace.handlers.declare import Declared
from headrace.handlers.signature import Signature
from headrace.model.task_kind import TaskKind


@dataclass(frozen=True, slots=True)
class Handler:
    """`is_async`: its function returns a coroutine. `is_inline`: it is called on the loop itself."""

    kind: TaskKind
    function: Callable[..., Any]
    signature: Signature
    is_async: bool
    is_inline: bool

    @classmethod
    def of(cls, declared: Declared) -> Handler:
        """Raises TypeError when the function cannot be a handler."""
        _require_sound(declared)
        signature = Signature(declared.function)
        kind = TaskKind(
            declared.name, signature.check, declared.retry, declared.timeout,
            description=declared.description, max_attempts=declared.max_attempts,
        )  # fmt: skip
        return cls(
            kind, declared.function, signature, inspect.iscoroutinefunction(declared.function), declared.inline
        )


def _require_sound(declared: Declared) -> None:
    if not declared.name or len(declared.name.encode()) > 128 or not declared.name.isascii():
        raise TypeError("a name has 1 to 128 letters, digits or any of . _ : / -")
    if not all(letter.isalnum() or letter in "._:/-" for letter in declared.name):
        raise TypeError("a name has letters, digits and . _ : / - only")
    if not declared.timeout > 0:
        raise TypeError(f"timeout={declared.timeout}: seconds, more than 0")
    if declared.max_attempts < 1:
        raise TypeError(f"max_attempts={declared.max_attempts}: at least 1")
    if inspect.isasyncgenfunction(declared.function) or inspect.isgeneratorfunction(declared.function):
        raise TypeError("it yields; a handler returns its result")
