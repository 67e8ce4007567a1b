"""The desk of schedules: make, look, change, delete, run now."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import msgspec

from headrace.errors import Conflict, Forbidden, Invalid, ItemError, NotFound
from headrace.kit.ids import parse_id, uuid7
from headrace.kit.wake import Wake
from headrace.model.bucket import UNSET
from headrace.model.principal import Principal
from headrace.model.schedule import Schedule, ScheduleChanges
from headrace.model.task import Task
from headrace.model.task_journal import TASKS_BUCKET
from headrace.ports.clock import Clock
from headrace.ports.schedules import Schedules
from headrace.tasks import cron
from headrace.tasks.rights import TaskRights
from headrace.tasks.submission import Submission
from headrace.tasks.wire import Flawed, Kinds, decode_one, read

MOST_SCHEDULES = 1_000  # of one owner
MAX_NAME = 100
MAX_JITTER = 86_400.0


class ScheduleDesk:
    """Everybody has one's own; those of others by the grants on `_tasks`, as for tasks. All raise Unavailable."""

    def __init__(
        self, schedules: Schedules, submission: Submission, rights: TaskRights, kinds: Kinds, clock: Clock, wake: Wake
    ) -> None:
        """`wake` is rung when the next firing may be another one."""
        self._schedules = schedules
        self._submission = submission
        self._rights = rights
        self._kinds = kinds
        self._clock = clock
        self._wake = wake

    async def create(self, principal: Principal, asked: Schedule) -> Schedule:
        """`asked` with an id, an owner and its first firing. Raises Invalid, and Conflict for a name that is taken."""
        owner, now = (await self._rights.of(principal)).owner, self._clock.now()
        self._check(asked, owner)
        await self._permit(principal, asked.task)
        if len(await self._schedules.list(owner)) >= MOST_SCHEDULES:
            raise Conflict(f"{MOST_SCHEDULES} schedules are the most: delete one first.", code="too-many-schedules")
        made = msgspec.structs.replace(
            asked, id=uuid7(now), owner=owner, created_at=now,
            next_at=cron.next_firing(asked.cron, asked.timezone, now) if asked.enabled else None,
        )  # fmt: skip
        await self._schedules.create(made)
        self._wake.ring()
        return made

    async def get(self, principal: Principal, id: str) -> Schedule:
        """Raises NotFound."""
        return await self._seen(principal, id)

    async def list(self, principal: Principal) -> Sequence[Schedule]:
        """Those that the caller sees, by name."""
        return await self._schedules.list((await self._rights.of(principal)).seen)

    async def update(self, principal: Principal, id: str, changes: ScheduleChanges) -> Schedule:
        """Raises NotFound, Forbidden, Invalid and Conflict."""
        old = await self._seen(principal, id, changing=True)
        named = {name: value for name in changes.__struct_fields__ if (value := getattr(changes, name)) is not UNSET}
        new: Schedule = msgspec.structs.replace(old, **named)
        self._check(new, old.owner)
        if changes.task is not UNSET:
            await self._permit(principal, new.task)
        if {"cron", "timezone", "enabled"} & named.keys():
            at = cron.next_firing(new.cron, new.timezone, self._clock.now()) if new.enabled else None
            changes = msgspec.structs.replace(changes, next_at=at)
        updated = await self._schedules.update(old.id, changes)
        self._wake.ring()
        return _there(updated, id)

    async def delete(self, principal: Principal, id: str) -> None:
        """Its tasks stay. Raises NotFound and Forbidden."""
        old = await self._seen(principal, id, changing=True)
        if not await self._schedules.delete(old.id):
            raise _unknown(id)

    async def run_now(self, principal: Principal, id: str) -> Task:
        """One task more, at once; the schedule goes on as before. Raises NotFound, Forbidden and Invalid."""
        schedule = await self._seen(principal, id, changing=True)
        return await self._submission.again(schedule.owner, schedule.task)

    def upcoming(self, schedule: Schedule, most: int) -> Sequence[int]:
        """When it fires next (µs since 1970)."""
        if not schedule.enabled:
            return ()
        return tuple(islice(cron.firings(schedule.cron, schedule.timezone, self._clock.now()), most))

    async def _permit(self, principal: Principal, task: bytes) -> None:
        wire = decode_one(task)
        if (kind := self._kinds.get(wire.type)) is not None and kind.permit is not None:
            await kind.permit(principal, bytes(wire.args) or b"{}")

    async def _seen(self, principal: Principal, id: str, *, changing: bool = False) -> Schedule:
        rights = await self._rights.of(principal)
        try:
            schedule = await self._schedules.get(parse_id(id))
        except ValueError:
            schedule = None
        if schedule is None or not (rights.sees_all or schedule.owner == rights.owner):
            raise _unknown(id)
        if changing and not (rights.manages_all or schedule.owner == rights.owner):
            raise Forbidden(f"This is somebody else's schedule: `manage` on bucket {TASKS_BUCKET!r} is needed.")
        return schedule

    def _check(self, schedule: Schedule, owner: str) -> None:
        if errors := list(self._flaws(schedule, owner)):
            raise Invalid(errors[0].detail, code="invalid-schedule", items=errors)

    def _flaws(self, schedule: Schedule, owner: str) -> Sequence[ItemError]:
        errors: list[ItemError] = []
        if not 0 < len(schedule.name.strip()) <= MAX_NAME or not schedule.name.isprintable():
            errors.append(ItemError("invalid-name", f"`name` must have 1 to {MAX_NAME} characters", field="name"))
        if wrong := cron.check(schedule.cron, schedule.timezone):
            errors.append(ItemError(f"invalid-{wrong[0]}", wrong[1], field=wrong[0]))
        if not 0 <= schedule.jitter <= MAX_JITTER:
            errors.append(ItemError("invalid-jitter", f"`jitter` must be 0 to {MAX_JITTER:g} seconds", field="jitter"))
        return [*errors, *self._task_flaws(schedule.task, owner)]

    def _task_flaws(self, task: bytes, owner: str) -> Sequence[ItemError]:
        try:
            read(task, owner, self._clock.now(), self._kinds)
            wire = decode_one(task)
        except Flawed as exc:
            return [ItemError(one.code, one.detail, field=f"task.{one.field or ''}".rstrip(".")) for one in exc.errors]
        if wire.run_at is not None or wire.delay is not None or wire.idempotency_key is not None:
            detail = "`task` of a schedule has no run_at, delay or idempotency_key: the schedule gives them"
            return [ItemError("invalid-field", detail, field="task")]
        return []


def _there(schedule: Schedule | None, id: str) -> Schedule:
    if schedule is None:
        raise _unknown(id)
    return schedule


def _unknown(id: str) -> NotFound:
    return NotFound(f"There is no schedule {id[:64]!r} that this credential may see.", code="unknown-schedule")


