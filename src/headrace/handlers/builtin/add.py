"""The tutorial's task: two numbers, and their sum."""

from __future__ import annotations

from typing import Final

from headrace.handlers.declare import Declared


def _add(a: int | float, b: int | float) -> int | float:  # noqa: PYI041  # for pydantic, a float alone makes 15 to 15.0
    """The sum of `a` and `b`."""
    return a + b


add: Final = Declared("add", _add, inline=True)
