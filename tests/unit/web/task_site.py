"""The doors of tasks on a real task table: callers are `admin`, `user` and `other`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import msgspec

from headrace.adapters.sqlite.schedules import SqliteSchedules
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.adapters.system.clock import SystemClock
from headrace.errors import ItemError
from headrace.model.principal import VIEWER, BucketView, Principal, Role
from headrace.model.query import EventFilter
from headrace.model.task_kind import TaskKind
from headrace.wiring.tasks import TaskFeatures, build_tasks
from tests.unit.web import fakes
from tests.unit.web.fakes import World

OTHER = Principal("other", "user", "other", Role.USER, owner_id="other")
HOLDER = Principal("v", VIEWER, "viewer token", Role.USER, view=BucketView(1, EventFilter()))
fakes.KEYS.setdefault("Bearer other", OTHER)


def check_add(args: bytes) -> Sequence[ItemError]:
    """As the built-in's: two numbers."""
    given = msgspec.json.decode(args, type=dict[str, msgspec.Raw])
    return [ItemError("missing", "a number is needed", field=f"args.{name}") for name in "ab" if name not in given]


class TaskSite(World):
    """The application with real features of tasks behind it."""

    def __init__(self, features: TaskFeatures, **options: Any) -> None:
        super().__init__(**options)
        self.features = features
        services = cast("SimpleNamespace", self.services)
        services.clock = SystemClock()
        services.submission, services.tasks, services.leasing = features.submission, features.desk, features.leasing
        services.task_queues, services.schedules = features.queues, features.schedules

    async def made(self, body: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A task that was submitted."""
        answer = await self.ask("POST", "/v1/tasks", json=body or {"type": "shout"}, **more)
        assert answer.status_code == 202, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def leased(self, body: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A new task, leased."""
        made = await self.made(body, **more)
        answer = await self.ask("POST", f"/v1/queues/{made['queue']}/lease", json={}, **more)
        (task,) = answer.json()["tasks"]
        assert task["id"] == made["id"]
        return cast("dict[str, Any]", task)

    async def say(self, task: dict[str, Any], verb: str, **more: Any) -> httpx2.Response:
        """Of a leased task."""
        key = more.pop("key", "admin")
        return await self.ask("POST", f"/v1/tasks/{task['id']}/{verb}", key=key, json={"lease": task["lease"], **more})


@asynccontextmanager
async def task_site(folder: Path, **options: Any) -> AsyncIterator[TaskSite]:
    tasks = await SqliteTasks.open(folder / "tasks.db")

    async def no_bucket(_: str) -> None:
        return None

    world = World()
    ports = SimpleNamespace(
        tasks=tasks, schedules=SqliteSchedules(tasks), clock=SystemClock(), metrics=world.metrics,
        buckets=SimpleNamespace(find=no_bucket),
    )  # fmt: skip
    kinds = {"add": TaskKind("add", check_add)}
    settings = SimpleNamespace(task_days=30.0)
    features = build_tasks(cast("Any", settings), cast("Any", ports), cast("Any", None), kinds)
    try:
        yield TaskSite(features, **options)
    finally:
        await features.close()
        await tasks.close()
