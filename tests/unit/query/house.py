"""What the tasks of the server need around them: buckets, owners, an attempt, a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headrace.adapters.memory.clock import MemoryClock
from headrace.errors import NotFound
from headrace.kit.ids import format_id, uuid7
from headrace.model.bucket import Bucket
from headrace.model.principal import USER, Permission, Principal, Role
from headrace.model.task import Status, Task
from headrace.query.export_folder import ExportFolder
from headrace.query.task_args import TaskViews
from tests.unit.query.fakes import BUCKET

READ = frozenset({Permission.READ})
WRITE = frozenset({Permission.WRITE})


def person(name: str, permissions: frozenset[Permission] = frozenset()) -> Principal:
    """A user with these permissions on the bucket app."""
    return Principal(name, USER, name, Role.USER, {BUCKET.id: permissions}, owner_id=name)


ADA, WRITER, STRANGER = person("ada", READ), person("writer", WRITE), person("stranger")
ADMIN = Principal("root", USER, "root", Role.ADMIN, owner_id="root")


class HeldBuckets:
    """By name."""

    def __init__(self, *buckets: Bucket) -> None:
        self.by_name = {bucket.name: bucket for bucket in buckets}

    async def find(self, name: str) -> Bucket | None:
        return self.by_name.get(name)


class HeldTasks:
    """By id; everybody sees one's own."""

    def __init__(self) -> None:
        self.by_id: dict[int, Task] = {}

    def put(self, task: Task) -> Task:
        self.by_id[task.id] = task
        return task

    async def get(self, id: int) -> Task | None:
        return self.by_id.get(id)

    async def see(self, principal: Principal, id: str) -> Task:
        task = next((task for task in self.by_id.values() if format_id(task.id) == id), None)
        if task is None or (task.owner != principal.owner_id and principal.role is not Role.ADMIN):
            raise NotFound(f"no task {id}")
        return task


class HeldAttempt:
    """Remembers what it was told."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.told: list[Any] = []

    def progress(self, value: object) -> None:
        self.told.append(value)

    def log(self, level: str, message: str, **attributes: object) -> None: ...


class Around:
    """`people` are those who are there now."""

    def __init__(self, path: Path, *, clock: MemoryClock | None = None) -> None:
        self.clock = clock or MemoryClock()
        self.buckets = HeldBuckets(BUCKET)
        self.tasks = HeldTasks()
        self.people: dict[str, Principal] = {one.id: one for one in (ADA, WRITER, STRANGER, ADMIN)}
        self.free = 1 << 40
        self.folder = ExportFolder(path / "exports", lambda: self.free, 1 << 20)
        self.views = TaskViews(self.buckets, self.principal_of)

    async def principal_of(self, owner: str) -> Principal | None:
        return self.people.get(owner)

    def task(self, type: str, args: Mapping[str, object], owner: str = ADA.id, **fields: Any) -> Task:
        given: dict[str, Any] = {"status": Status.RUNNING, "queue": "default", "priority": 5, "attempt": 1}
        made = Task(
            id=uuid7(self.clock.now()), type=type, owner=owner, created_at=1, args=msgspec.json.encode(args),
            max_attempts=5, **(given | fields),
        )  # fmt: skip
        return self.tasks.put(made)


def fields_of(errors: Sequence[Any]) -> list[str | None]:
    return [error.field for error in errors]
