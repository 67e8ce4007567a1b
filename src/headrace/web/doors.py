"""Which route belongs to which door: one table. A process may have only some, behind a proxy that routes by path.

The paths of a door share their beginnings: deploy/nginx/headrace-doors.conf tells them apart by these; a test compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from fastapi import APIRouter
from starlette.routing import BaseRoute

from headrace.errors import Unusable
from headrace.web.api import (
    auth,
    backup,
    buckets,
    dead_letters,
    events,
    exports,
    grants,
    health,
    keys,
    metrics,
    oidc,
    queues,
    root,
    schedules,
    signing_keys,
    status,
    tasks,
    usage,
    users,
    viewer_tokens,
)
from headrace.web.console import embed, pages
from headrace.web.write_events import WriteEvents
from headrace.web.write_tasks import WriteTask, WriteTasks

Write = type[WriteEvents | WriteTask | WriteTasks]


class Noun(Protocol):
    """A module with routes."""

    routes: APIRouter


EVENTS, TASKS, CONSOLE = "events", "tasks", "console"
DOORS: Mapping[str, tuple[Noun, ...]] = {
    EVENTS: (events, buckets, grants, embed),
    TASKS: (tasks, queues, schedules, exports),
    "auth": (auth, oidc, signing_keys, viewer_tokens),
    "users": (users, keys),
    CONSOLE: pages.ALL,
    "operations": (usage, dead_letters, status, backup),
}
WRITES: Mapping[str, tuple[Write, ...]] = {EVENTS: (WriteEvents,), TASKS: (WriteTask, WriteTasks)}
"""Those of a door that the fast lane has."""
ALWAYS: tuple[Noun, ...] = (health, metrics, root)
"""What every process answers about itself."""
ALL = frozenset(DOORS)


def parse_doors(text: str) -> frozenset[str]:
    """The doors of HEADRACE_DOORS, separated by commas; all when it is empty. Raises Unusable."""
    asked = [part.strip() for part in text.split(",") if part.strip()]
    if unknown := [name for name in asked if name not in DOORS]:
        raise Unusable(
            f"a setting is wrong: HEADRACE_DOORS (--doors): there is no door {unknown[0][:60]!r}; "
            f"the doors are {', '.join(DOORS)}."
        )
    return frozenset(asked) or ALL


def routes_of(doors: frozenset[str]) -> Iterator[BaseRoute]:
    """Those of the doors, and of what is always there."""
    for door, nouns in DOORS.items():
        if door in doors:
            for noun in nouns:
                yield from noun.routes.routes
    for noun in ALWAYS:
        yield from noun.routes.routes


def writes_of(doors: frozenset[str]) -> Iterator[Write]:
    """The write doors among these, the busiest first."""
    for door, writes in WRITES.items():
        if door in doors:
            yield from writes


def not_here(doors: frozenset[str]) -> str:
    """What a process that has only some doors says of a path that is not behind them; it tells of no other paths."""
    names = [name for name in DOORS if name in doors]
    those = f"the doors {', '.join(names)}" if names else "no doors, only its health and its metrics"
    return f"There is nothing at this path here: this process has {those}."
