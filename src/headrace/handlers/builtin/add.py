"""The tutorial's task: two numbers, and their sum."""

from __future__ import annotations

from typing import Final

from headrace.handlers.declare import Declared


def _add(a: int | float, b: int | float) -> int | float:
    """The sum of `a` and `b`."""
    return a + b


add: Final = Declared("add", _add, inline=True)
