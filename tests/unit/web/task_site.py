"""The doors of tasks on a real task table: callers are `admin`, `user` and `other`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx2
import msgspec

from headrace.adapters.sqlite.schedules import SqliteSchedules
from headrace.adapters.sqlite.tasks import SqliteTasks
from headrace.adapters.system.clock import SystemClock
from headrace.errors import ItemError
from headrace.kit.wake import Wake
from headrace.model.principal import VIEWER, BucketView, Principal, Role
from headrace.model.query import EventFilter
from headrace.model.task_kind import TaskKind
from headrace.tasks.desk import TaskDesk
from headrace.tasks.endings import Endings
from headrace.tasks.finishing import Finishing
from headrace.tasks.leasing import LeaseDesk
from headrace.tasks.queues import QueueDesk
from headrace.tasks.rights import TaskRights
from headrace.tasks.schedules import ScheduleDesk
from headrace.tasks.submission import Submission
from tests.unit.web import fakes
from tests.unit.web.fakes import World

OTHER = Principal("other", "user", "other", Role.USER, owner_id="other")
HOLDER = Principal("v", VIEWER, "viewer token", Role.USER, view=BucketView(1, EventFilter()))
fakes.KEYS.setdefault("Bearer other", OTHER)


def check_add(args: bytes) -> Sequence[ItemError]:
    """As the built-in's: two numbers."""
    given = msgspec.json.decode(args, type=dict[str, msgspec.Raw])
    return [ItemError("missing", "a number is needed", field=f"args.{name}") for name in "ab" if name not in given]


@dataclass(frozen=True)
class Features:
    submission: Submission
    desk: TaskDesk
    leasing: LeaseDesk
    queues: QueueDesk
    schedules: ScheduleDesk
    finishing: Finishing


class TaskSite(World):
    """The application with real features of tasks behind it."""

    def __init__(self, features: Features, **options: Any) -> None:
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
    features = _features(tasks)
    try:
        yield TaskSite(features, **options)
    finally:
        await features.submission.close()
        await features.finishing.close()
        await tasks.close()


def _features(tasks: SqliteTasks) -> Features:
    async def no_bucket(_: str) -> None:
        return None

    def unheard(*_: object) -> None: ...

    clock, metrics, endings = SystemClock(), cast("Any", World().metrics), Endings()
    kinds = {"add": TaskKind("add", check_add)}
    rights = TaskRights(cast("Any", SimpleNamespace(find=no_bucket)))
    finishing = Finishing(tasks, endings, clock, metrics, journaled=unheard, owes_callback=unheard)
    submission = Submission(tasks, kinds, clock, metrics, journaled=unheard)
    return Features(
        submission,
        TaskDesk(tasks, rights, endings, kinds, clock, unheard, unheard),
        LeaseDesk(tasks, rights, finishing, endings, kinds, clock, metrics),
        QueueDesk(tasks, rights),
        ScheduleDesk(SqliteSchedules(tasks), submission, rights, kinds, clock, Wake()),
        finishing,
    )
