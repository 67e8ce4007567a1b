"""A loop beside the doors: its name, its step, its pace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from headrace.workers.loop import Pace


class Step(NamedTuple):
    name: str
    step: Callable[[], Awaitable[int]]
    pace: Pace
