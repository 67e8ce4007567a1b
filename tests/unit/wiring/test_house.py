"""The tasks of the server, put together: whose rights count, and what the system itself has scheduled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.errors import Conflict
from headrace.kit.times import HOUR, to_datetime
from headrace.model.account import Account, ApiKey, KnownKey, User
from headrace.model.principal import Permission, Role
from headrace.model.schedule import CatchUp, Schedule
from headrace.tasks.wire import read
from headrace.wiring.house import ensure_schedules, principal_of

GRANTS = {7: frozenset({Permission.READ})}
USER = User("u1", "ada", None, Role.USER, 1)
KEY = ApiKey("k1", "shipper", b"", Role.USER, 1, grants=GRANTS)


class Held:
    """Accounts and keys in dicts."""

    def __init__(self, *held: User | ApiKey) -> None:
        self.held = {one.id: one for one in held}

    async def find_account(self, user_id: str) -> Account | None:
        found = self.held.get(user_id)
        return Account(found, GRANTS) if isinstance(found, User) else None

    async def find_key(self, key_id: str) -> KnownKey | None:
        found = self.held.get(key_id)
        return KnownKey(found, None) if isinstance(found, ApiKey) else None


@pytest.mark.parametrize("owner", [USER, KEY])
async def test_an_owner_is_worth_its_grants_of_now(owner: User | ApiKey) -> None:
    held = Held(owner)
    principal = await principal_of(held, held, MemoryClock())(owner.id)
    assert principal is not None
    assert (principal.id, principal.grants) == (owner.id, GRANTS)


async def test_who_is_disabled_revoked_expired_or_gone_is_worth_nothing() -> None:
    clock = MemoryClock()
    for owner in (
        replace(USER, disabled=True), replace(KEY, revoked_at=5), replace(KEY, expires_at=clock.now()),
        replace(KEY, owner_id="u2"),
    ):  # fmt: skip
        held = Held(owner)
        assert await principal_of(held, held, clock)(owner.id) is None
    assert await principal_of(Held(), Held(), clock)("u1") is None


class HeldSchedules:
    def __init__(self) -> None:
        self.made: list[Schedule] = []

    async def list(self, owner: str | None = None) -> Sequence[Schedule]:
        return [one for one in self.made if owner in (None, one.owner)]

    async def create(self, schedule: Schedule) -> None:
        if any((one.owner, one.name) == (schedule.owner, schedule.name) for one in self.made):
            raise Conflict(schedule.name)
        self.made.append(schedule)


async def test_the_warming_is_scheduled_once() -> None:
    schedules, clock = HeldSchedules(), MemoryClock()
    for _ in range(3):
        await ensure_schedules(schedules, clock)
        clock.jump(86_400)
    (made,) = schedules.made
    assert (made.owner, made.name, made.catch_up, made.enabled) == ("system", "cache warming", CatchUp.NONE, True)
    assert made.next_at is not None
    assert 0 < made.next_at - made.created_at <= 24 * HOUR
    assert f"{to_datetime(made.next_at):%H:%M}" == "05:30"
    assert read(made.task, made.owner, made.created_at, {}).type == "cache.warm"


async def test_what_an_administrator_made_of_it_stays() -> None:
    schedules = HeldSchedules()
    await ensure_schedules(schedules, MemoryClock())
    schedules.made = [msgspec.structs.replace(schedules.made[0], enabled=False, cron="0 3 * * 0")]
    await ensure_schedules(schedules, MemoryClock())
    assert [(one.enabled, one.cron) for one in schedules.made] == [(False, "0 3 * * 0")]


async def test_two_processes_that_start_at_once_make_one_schedule() -> None:
    class Late(HeldSchedules):
        async def list(self, owner: str | None = None) -> Sequence[Schedule]:
            return []

    schedules = Late()
    await ensure_schedules(schedules, MemoryClock())
    await ensure_schedules(schedules, MemoryClock())
    assert len(schedules.made) == 1
