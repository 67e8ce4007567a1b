"""What every adapter of `ports/schedules` promises."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from headrace.errors import Conflict
from headrace.model.schedule import CatchUp, Schedule, ScheduleChanges
from tests.contract.task_tables import ADA, BOB, NOW, SECOND, TaskTable, ids, new, numbers, soon, task_id


def schedule(number: int, **fields: Any) -> Schedule:
    fields = {"name": f"s{number}", "owner": ADA, "next_at": NOW + number * SECOND, **fields}
    return Schedule(
        id=task_id(900 + number), cron="*/5 * * * *", timezone="Europe/Berlin", task=b'{"type":"add"}', created_at=NOW,
        **fields,
    )  # fmt: skip


async def names(table: TaskTable, owner: str | None = None) -> list[str]:
    return [one.name for one in await table.schedules.list(owner)]


async def test_a_schedule_comes_back_as_it_was_made(table: TaskTable) -> None:
    full = schedule(
        1, name="nächtlich", jitter=2.5, catch_up=CatchUp.ALL, enabled=False, next_at=None, last_at=NOW,
        last_task=task_id(5),
    )  # fmt: skip
    await table.schedules.create(full)
    assert await table.schedules.get(full.id) == full
    assert await table.schedules.get(task_id(1)) is None
    assert list(await table.schedules.list()) == [full]


async def test_an_owner_has_one_schedule_of_a_name(table: TaskTable) -> None:
    await table.schedules.create(schedule(1, name="n"))
    with pytest.raises(Conflict):
        await table.schedules.create(schedule(2, name="n"))
    await table.schedules.create(schedule(3, name="n", owner=BOB))
    assert await names(table) == ["n", "n"]


async def test_schedules_are_listed_by_name(table: TaskTable) -> None:
    for number, name in enumerate(("b", "a", "C")):
        await table.schedules.create(schedule(number, name=name))
    await table.schedules.create(schedule(9, name="aa", owner=BOB))
    assert await names(table) == ["C", "a", "aa", "b"]
    assert await names(table, ADA) == ["C", "a", "b"]
    assert await names(table, "eve") == []


async def test_what_an_update_does_not_name_stays(table: TaskTable) -> None:
    first = schedule(1)
    await table.schedules.create(first)
    changed = await table.schedules.update(first.id, ScheduleChanges(cron="0 0 * * *", next_at=NOW))
    assert changed == msgspec.structs.replace(first, cron="0 0 * * *", next_at=NOW)
    everything = ScheduleChanges("new", "1 1 1 1 1", "UTC", b"{}", 7.0, CatchUp.NONE, enabled=False, next_at=None)
    assert await table.schedules.update(first.id, everything) == msgspec.structs.replace(
        first, name="new", cron="1 1 1 1 1", timezone="UTC", task=b"{}", jitter=7.0, catch_up=CatchUp.NONE,
        enabled=False, next_at=None,
    )  # fmt: skip
    assert await table.schedules.update(first.id, ScheduleChanges()) == await table.schedules.get(first.id)
    assert await table.schedules.update(task_id(1), ScheduleChanges(name="x")) is None


async def test_a_name_that_is_taken_is_refused_in_an_update(table: TaskTable) -> None:
    await table.schedules.create(schedule(1, name="n"))
    await table.schedules.create(schedule(2, name="m"))
    with pytest.raises(Conflict):
        await table.schedules.update(schedule(2).id, ScheduleChanges(name="n", jitter=9))
    assert await table.schedules.get(schedule(2).id) == schedule(2, name="m")
    assert await table.schedules.update(schedule(1).id, ScheduleChanges(name="n"))


async def test_a_deleted_schedule_is_gone(table: TaskTable) -> None:
    await table.schedules.create(schedule(1))
    assert await table.schedules.delete(schedule(1).id)
    assert not await table.schedules.delete(schedule(1).id)
    assert await table.schedules.get(schedule(1).id) is None
    assert await table.schedules.next_at() is None
    await table.schedules.create(schedule(2, name="s1"))


async def test_the_due_come_earliest_first(table: TaskTable) -> None:
    for number in (3, 1, 2, 4):
        await table.schedules.create(schedule(number))
    await table.schedules.create(schedule(0, enabled=False))
    await table.schedules.create(schedule(9, next_at=None))
    assert [one.name for one in await table.schedules.due(NOW + 3 * SECOND, 10)] == ["s1", "s2", "s3"]
    assert [one.name for one in await table.schedules.due(NOW + 3 * SECOND, 2)] == ["s1", "s2"]
    assert list(await table.schedules.due(NOW, 10)) == []


async def test_the_next_firing_is_the_earliest_of_those_enabled(table: TaskTable) -> None:
    assert await table.schedules.next_at() is None
    for number in (3, 2):
        await table.schedules.create(schedule(number))
    await table.schedules.create(schedule(1, enabled=False))
    assert await table.schedules.next_at() == NOW + 2 * SECOND


async def test_a_firing_adds_its_tasks_and_moves_on(table: TaskTable) -> None:
    first = schedule(1)
    await table.schedules.create(first)
    waiting = asyncio.create_task(table.tasks.wait(60))
    await asyncio.sleep(0.1)
    tasks = [new(1, idempotency_key="s1@1"), new(2, idempotency_key="s1@2")]
    assert list(await table.schedules.fire(first, tasks, NOW + 300 * SECOND, NOW) or ()) == numbers(1, 2)
    await soon(waiting)
    assert sorted(ids(await table.claim())) == numbers(1, 2)
    fired = await table.schedules.get(first.id)
    assert fired
    assert (fired.next_at, fired.last_at, fired.last_task) == (NOW + 300 * SECOND, NOW, task_id(2))
    assert await table.told(task_id(1)) == ["queued", "running"]


async def test_a_firing_of_many_at_once_makes_one_task(table: TaskTable) -> None:
    first = schedule(1)
    await table.schedules.create(first)
    calls = [
        table.schedules.fire(first, [new(number, idempotency_key="s1@1")], NOW + 300 * SECOND, NOW)
        for number in range(1, 9)
    ]
    answers = await asyncio.gather(*calls)
    assert len([answer for answer in answers if answer is not None]) == 1
    assert len(await table.claim()) == 1


async def test_a_firing_whose_task_is_there_already_makes_none_and_moves_on(table: TaskTable) -> None:
    first = schedule(1)
    await table.schedules.create(first)
    await table.add(new(1, idempotency_key="s1@1"))
    assert list(await table.schedules.fire(first, [new(2, idempotency_key="s1@1")], NOW + SECOND, NOW) or ()) == []
    fired = await table.schedules.get(first.id)
    assert fired
    assert (fired.next_at, fired.last_at, fired.last_task) == (NOW + SECOND, None, None)
    assert await table.find() == numbers(1)


async def test_a_firing_may_have_no_task_and_no_successor(table: TaskTable) -> None:
    first = schedule(1)
    await table.schedules.create(first)
    answer = await table.schedules.fire(first, [], None, NOW)
    assert answer is not None
    assert list(answer) == []
    fired = await table.schedules.get(first.id)
    assert fired
    assert (fired.next_at, fired.last_at) == (None, None)


@pytest.mark.parametrize("what", ["gone", "disabled", "moved"])
async def test_a_schedule_that_is_no_longer_so_does_not_fire(table: TaskTable, what: str) -> None:
    first = schedule(1)
    await table.schedules.create(first)
    if what == "gone":
        await table.schedules.delete(first.id)
    else:
        changes = ScheduleChanges(enabled=False) if what == "disabled" else ScheduleChanges(next_at=NOW + 2 * SECOND)
        await table.schedules.update(first.id, changes)
    before = await table.schedules.get(first.id)
    assert await table.schedules.fire(first, [new(1, idempotency_key="k")], NOW + 300 * SECOND, NOW) is None
    assert await table.schedules.get(first.id) == before
    assert await table.find() == []


async def test_a_fired_task_may_be_scheduled(table: TaskTable) -> None:
    """Jitter: the task is made at once, for its own moment."""
    first = schedule(1)
    await table.schedules.create(first)
    await table.schedules.fire(first, [new(1, idempotency_key="k", run_at=NOW + SECOND)], NOW + 300 * SECOND, NOW)
    assert list(await table.claim()) == []
    assert (await table.tasks.sweep(NOW + SECOND)).due == 1
