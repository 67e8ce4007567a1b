"""The tasks that run inside of the server: what each is (TaskKind) and the function that does it, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from headrace.auth import worth
from headrace.errors import Conflict
from headrace.kit.ids import uuid7
from headrace.model.principal import Principal
from headrace.model.schedule import CatchUp, Schedule
from headrace.model.task_kind import TaskKind
from headrace.ports.accounts import Accounts
from headrace.ports.buckets import Buckets
from headrace.ports.clock import Clock
from headrace.ports.crew import HouseHandler
from headrace.ports.events import Events
from headrace.ports.export_format import ExportFormat
from headrace.ports.keys import Keys
from headrace.ports.schedules import Schedules
from headrace.query.digest import DigestTask
from headrace.query.export import Export
from headrace.query.export_folder import ExportFolder
from headrace.query.export_task import ExportTask
from headrace.query.task_args import PrincipalOf, TaskViews
from headrace.query.warming import WARM_TYPE, Warming
from headrace.tasks import cron

House: TypeAlias = Mapping[str, tuple[TaskKind, HouseHandler]]

SYSTEM = "system"
"""The owner of what nobody asked for."""
WARMING_NAME = "cache warming"
_WARMING_CRON = "30 5 * * *"  # before people come to work, in most of the time zones that share a server
_WARMING_JITTER = 600.0
_EXPORTS = "exports"


@dataclass(frozen=True, slots=True)
class HouseNeeds:
    """What the functions work with."""

    accounts: Accounts
    buckets: Buckets
    clock: Clock
    events: Events
    export: Export
    folder: ExportFolder
    formats: Mapping[str, ExportFormat]
    keys: Keys
    warming: Warming


def build_house(needs: HouseNeeds) -> House:
    """All but `tasks.bulk`, which belongs to the features of tasks."""
    views = TaskViews(needs.buckets, principal_of(needs.accounts, needs.keys, needs.clock))
    export = ExportTask(needs.export, needs.formats, needs.folder, views, needs.clock)
    digest = DigestTask(needs.events, views, needs.clock)
    built = [(export.kind, export.run), (digest.kind, digest.run), (needs.warming.kind, needs.warming.run)]
    return {kind.name: (kind, function) for kind, function in built}


def export_folder(data: Path, free_bytes: Callable[[], int], leave_bytes: int) -> ExportFolder:
    """In the data directory."""
    return ExportFolder(data / _EXPORTS, free_bytes, leave_bytes)


def principal_of(accounts: Accounts, keys: Keys, clock: Clock) -> PrincipalOf:
    """What the owner of a task is worth now: a user, or a key that no user answers for."""

    async def find(owner: str) -> Principal | None:
        if (account := await accounts.find_account(owner)) is not None:
            return worth.of_account(account)
        known = await keys.find_key(owner)
        if known is None or (known.key.expires_at is not None and known.key.expires_at <= clock.now()):
            return None
        return worth.of_key(known)

    return find


async def ensure_schedules(schedules: Schedules, clock: Clock) -> None:
    """Those of the system are there when this returns; what an administrator made of one stays. Raises Unavailable."""
    now = clock.now()
    made = Schedule(
        id=uuid7(now),
        name=WARMING_NAME,
        owner=SYSTEM,
        cron=_WARMING_CRON,
        timezone="UTC",
        task=b'{"type":"%s","max_attempts":1}' % WARM_TYPE.encode(),
        created_at=now,
        jitter=_WARMING_JITTER,
        catch_up=CatchUp.NONE,  # whoever was down warms at its start
        next_at=cron.next_firing(_WARMING_CRON, "UTC", now),
    )
    if any(one.name == made.name for one in await schedules.list(SYSTEM)):
        return
    try:
        await schedules.create(made)
    except Conflict:
        return  # another process starts too
