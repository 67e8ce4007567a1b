"""A loop beside the doors: its name, its step, its pace, and who runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from headrace.wiring.roles import BOTH, Role
from headrace.workers.loop import Pace


class Step(NamedTuple):
    name: str
    step: Callable[[], Awaitable[int]]
    pace: Pace
    roles: frozenset[Role] = BOTH
