"""Who may see and do what with tasks: one's own always; those of others by the grants on the bucket `_tasks`."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.errors import Forbidden, NotFound
from headrace.kit.ids import format_id, parse_id
from headrace.model.principal import VIEWER, Permission, Principal, Role
from headrace.model.task import Task
from headrace.model.task_journal import TASKS_BUCKET
from headrace.ports.buckets import Buckets


@dataclass(frozen=True, slots=True)
class Rights:
    """`sees_all`: may read everybody's tasks; `manages_all`: may do with them what their owners may, and set queues."""

    owner: str
    sees_all: bool
    manages_all: bool

    @property
    def seen(self) -> str | None:
        """Whose tasks are seen; None: everybody's."""
        return None if self.sees_all else self.owner

    @property
    def managed(self) -> str | None:
        """Whose tasks may be changed and leased; None: everybody's."""
        return None if self.manages_all else self.owner

    def check(self, task: Task | None, id: str, *, changing: bool = False) -> Task:
        """The task. Raises NotFound where it may not be seen, as if it were not there; Forbidden for a change by
        somebody who only sees it."""
        if task is None or not (self.sees_all or task.owner == self.owner):
            raise unknown_task(id)
        if changing and not (self.manages_all or task.owner == self.owner):
            raise Forbidden(f"Somebody else's task: to change it, `manage` on bucket {TASKS_BUCKET!r} is needed.")
        return task

    def require_managing(self) -> None:
        """Raises Forbidden."""
        if not self.manages_all:
            raise Forbidden(f"To set a queue, `manage` on bucket {TASKS_BUCKET!r} is needed: ask an administrator.")


class TaskRights:
    """Knows which bucket `_tasks` is."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._bucket_id: int | None = None

    async def of(self, principal: Principal) -> Rights:
        """Raises Forbidden for a viewer token, which is about events."""
        owner = owner_of(principal)
        if principal.role is Role.ADMIN:
            return Rights(owner, sees_all=True, manages_all=True)
        if not principal.grants:
            return Rights(owner, sees_all=False, manages_all=False)
        granted = principal.grants.get(await self._bucket(), frozenset())
        manages = Permission.MANAGE in granted
        return Rights(owner, sees_all=manages or Permission.READ in granted, manages_all=manages)

    async def _bucket(self) -> int:
        if self._bucket_id is None:
            bucket = await self._buckets.find(TASKS_BUCKET)
            self._bucket_id = None if bucket is None else bucket.id
        return -1 if self._bucket_id is None else self._bucket_id


def owner_of(principal: Principal) -> str:
    """Whose tasks this caller makes. Raises Forbidden for a viewer token."""
    if principal.kind == VIEWER or principal.view is not None:
        raise Forbidden("A viewer token reads the events of its bucket, and nothing else.", code="viewer-token")
    return principal.owner_id or principal.id


def id_of(text: str) -> int:
    """The id of a task as in a path. Raises NotFound: what is no UUID is no task."""
    try:
        return parse_id(text)
    except ValueError:
        raise unknown_task(text) from None


def unknown_task(id: str | int) -> NotFound:
    """The one wording for "not there" and "not yours", so that they cannot be told apart."""
    shown = format_id(id) if isinstance(id, int) else id[:64]
    return NotFound(f"There is no task {shown!r} that this credential may see.", code="unknown-task")
