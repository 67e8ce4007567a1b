"""The panels of the overview, in their order. What comes later (alerts) adds a line to PANELS and a template.

A panel that has nothing for a visitor is not there: no empty boxes. One whose figures cannot be asked says so in its
place, and the others stay.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from headrace.model.principal import Principal, Role
from headrace.services import Services
from headrace.web.console.pages.overview.figures import CHARTS, tiles
from headrace.web.console.pages.overview.storage import storage
from headrace.web.console.pages.overview.tasks import figures as task_figures

Values = Mapping[str, object]
Load = Callable[[Services, Principal], Awaitable[Values | None]]


@dataclass(frozen=True, slots=True)
class Panel:
    """`load` gives what its template shows to this visitor, or None. It is asked again every `seconds`, unless the
    panel moves by itself (0)."""

    name: str
    title: str
    template: str
    load: Load
    seconds: int = 0


async def _figures(services: Services, visitor: Principal) -> Values | None:
    """Of the whole server: for administrators only."""
    if not is_admin(visitor):
        return None
    return {"tiles": tiles(services.history.newest()), "charts": CHARTS}


async def _buckets(services: Services, visitor: Principal) -> Values | None:
    return {"storage": await storage(services, visitor, _store(services) if is_admin(visitor) else None)}


async def _tasks(services: Services, visitor: Principal) -> Values | None:
    found = await task_figures(services, visitor)
    return None if found is None else {"tasks": found}


def _store(services: Services) -> tuple[float, float] | None:
    """(events, bytes) of the whole store, if it could be asked."""
    sample = services.history.newest()
    if sample is None or math.isnan(sample["bytes"]):
        return None
    return sample["events"], sample["bytes"]


def is_admin(visitor: Principal) -> bool:
    return visitor.role is Role.ADMIN


PANELS = (
    Panel("figures", "Right now", "overview/_figures.html", _figures),
    Panel("tasks", "Tasks", "overview/_tasks.html", _tasks, seconds=10),
    Panel("buckets", "Storage by bucket", "overview/_buckets.html", _buckets, seconds=10),
)


def named(name: str) -> Panel | None:
    return next((panel for panel in PANELS if panel.name == name), None)
