"""What every adapter of `ports/tasks` promises of queues: pause, limits, and what is counted."""

from __future__ import annotations

import asyncio

import pytest

from headrace.model.task import QueueChanges, Status, TaskCount, TaskQueue
from tests.contract.task_tables import ADA, BOB, EVE, GONE, NOW, SECOND, TaskTable, ids, new, numbers, soon, task_id


async def test_nothing_is_claimed_from_a_paused_queue(table: TaskTable) -> None:
    await table.add(new(1), new(2, queue="mail"))
    await table.tasks.change_queue("mail", QueueChanges(paused=True))
    assert list(await table.claim(queue="mail")) == []
    assert ids(await table.claim()) == numbers(1)


async def test_a_paused_queue_goes_on_where_it_was_and_wakes_who_waits(table: TaskTable) -> None:
    await table.add(new(1))
    await table.tasks.change_queue("default", QueueChanges(paused=True))
    waiting = asyncio.create_task(table.tasks.wait(60))
    await asyncio.sleep(0.1)
    await table.tasks.change_queue("default", QueueChanges(paused=False))
    await soon(waiting)
    assert ids(await table.claim()) == numbers(1)


async def test_what_runs_in_a_paused_queue_can_end(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.tasks.change_queue("default", QueueChanges(paused=True))
    assert (await table.beat(task)).held
    assert await table.end(task)


async def test_no_more_than_its_concurrency_run_in_a_queue(table: TaskTable) -> None:
    await table.tasks.change_queue("mail", QueueChanges(concurrency=3))
    owners = [ADA, BOB, EVE]
    await table.add(*(new(number, owners[number % 3], queue="mail", type=f"t{number % 2}") for number in range(1, 11)))
    await table.add(new(20))
    claimed = await table.claim(10)
    mail = [task for task in claimed if task.queue == "mail"]
    assert (len(claimed), len(mail)) == (4, 3)
    assert list(await table.claim(10)) == []
    await table.end(mail[0])
    assert len(await table.claim(10)) == 1


async def test_a_lease_that_ran_out_makes_room_in_its_queue(table: TaskTable) -> None:
    await table.tasks.change_queue("default", QueueChanges(concurrency=1))
    await table.claimed(new(1, max_attempts=1), new(2))
    assert list(await table.claim()) == []
    await table.tasks.sweep(NOW + GONE)
    assert len(await table.claim(now=NOW + GONE)) == 1


async def test_a_lower_concurrency_stops_nothing_that_runs(table: TaskTable) -> None:
    await table.add(*(new(number) for number in range(1, 6)))
    running = await table.claim(3)
    await table.tasks.change_queue("default", QueueChanges(concurrency=1))
    assert list(await table.claim()) == []
    for task in running[:2]:
        assert await table.end(task)
    assert list(await table.claim()) == []
    await table.tasks.change_queue("default", QueueChanges(concurrency=None))
    assert len(await table.claim()) == 2


async def test_no_more_are_begun_a_second_than_the_rate_of_a_queue(table: TaskTable) -> None:
    await table.tasks.change_queue("mail", QueueChanges(rate_limit=2))
    await table.add(*(new(number, queue="mail") for number in range(1, 21)))
    steps = [0, 0, SECOND // 2, SECOND // 2, SECOND, 11 * SECOND, 11 * SECOND]
    begun = [len(await table.claim(10, NOW + step)) for step in steps]
    assert begun == [2, 0, 1, 0, 1, 2, 0]


async def test_a_rate_below_one_a_second_lets_one_begin_at_a_time(table: TaskTable) -> None:
    await table.tasks.change_queue("default", QueueChanges(rate_limit=0.1))
    await table.add(*(new(number) for number in range(1, 6)))
    assert [len(await table.claim(10, NOW + at * SECOND)) for at in (0, 9, 10, 19, 60)] == [1, 0, 1, 0, 1]


async def test_a_clock_that_went_back_does_not_stop_a_queue_with_a_rate(table: TaskTable) -> None:
    await table.tasks.change_queue("default", QueueChanges(rate_limit=2))
    await table.add(*(new(number) for number in range(1, 11)))
    await table.claim(10)
    day = 86_400 * SECOND
    assert len(await table.claim(10, NOW - day)) <= 2
    assert len(await table.claim(10, NOW - day + SECOND)) >= 1


async def test_without_a_rate_all_may_begin(table: TaskTable) -> None:
    await table.tasks.change_queue("default", QueueChanges(rate_limit=1))
    await table.add(*(new(number) for number in range(1, 11)))
    await table.claim(10)
    await table.tasks.change_queue("default", QueueChanges(rate_limit=None))
    assert len(await table.claim(10)) == 9


async def test_a_queue_that_nobody_used_before_is_made(table: TaskTable) -> None:
    made = await table.tasks.change_queue("mail", QueueChanges(paused=True, concurrency=3, rate_limit=0.5))
    assert made == TaskQueue("mail", paused=True, concurrency=3, rate_limit=0.5)
    assert list(await table.tasks.queues()) == [made]


async def test_what_a_change_does_not_name_stays(table: TaskTable) -> None:
    await table.tasks.change_queue("mail", QueueChanges(paused=True, concurrency=3, rate_limit=0.5))
    await table.add(new(1, queue="mail"))
    changed = await table.tasks.change_queue("mail", QueueChanges(rate_limit=None))
    assert changed == TaskQueue("mail", paused=True, concurrency=3, queued=1, oldest=new(1).created_at)
    assert await table.tasks.change_queue("mail", QueueChanges()) == changed


async def test_queues_are_listed_by_name_with_what_waits_and_runs(table: TaskTable) -> None:
    await table.claimed(new(1, queue="z"))
    await table.add(new(2, queue="z"), new(3, BOB, queue="z", type="b"), new(4, queue="a", run_at=NOW + 1))
    assert list(await table.tasks.queues()) == [
        TaskQueue("a", scheduled=1),
        TaskQueue("z", queued=2, running=1, oldest=new(2).created_at),
    ]


async def test_of_one_owner_every_queue_is_listed_and_their_tasks_are_counted(table: TaskTable) -> None:
    await table.add(new(1), new(2, BOB), new(3, queue="mail"))
    assert list(await table.tasks.queues(BOB)) == [
        TaskQueue("default", queued=1, oldest=new(2).created_at),
        TaskQueue("mail"),
    ]


async def test_a_queue_whose_tasks_are_gone_is_still_listed(table: TaskTable) -> None:
    await table.in_state(Status.SUCCEEDED, new(1))
    await table.tasks.delete(task_id(1))
    assert list(await table.tasks.queues()) == [TaskQueue("default")]


async def test_counts_are_by_type_and_status(table: TaskTable) -> None:
    for number, status in enumerate((Status.SUCCEEDED, Status.SUCCEEDED, Status.DEAD, Status.RUNNING, Status.QUEUED)):
        await table.in_state(status, new(number + 1))
    await table.add(new(9, BOB, type="b", queue="mail"), new(10, BOB, run_at=NOW + 1))
    assert sorted((one.type, one.status.value, one.count) for one in await table.tasks.counts()) == [
        ("add", "dead", 1), ("add", "queued", 1), ("add", "running", 1), ("add", "scheduled", 1),
        ("add", "succeeded", 2), ("b", "queued", 1),
    ]  # fmt: skip
    assert sorted(await table.tasks.counts(BOB), key=lambda one: one.type) == [
        TaskCount("add", Status.SCHEDULED, 1), TaskCount("b", Status.QUEUED, 1),
    ]  # fmt: skip
    assert list(await table.tasks.counts(EVE)) == []


@pytest.mark.parametrize("repeated", [False, True])
async def test_counts_follow_every_change(table: TaskTable, repeated: bool) -> None:
    task = await table.claimed(new(1))
    await table.tasks.sweep(NOW + GONE)
    await table.tasks.cancel([task.id] * (1 + repeated), NOW)
    await table.tasks.retry([task.id] * (1 + repeated), NOW)
    (task,) = await table.claim()
    await table.end(task)
    assert list(await table.tasks.counts()) == [TaskCount("add", Status.SUCCEEDED, 1)]
    await table.tasks.purge(NOW + 10 * GONE)
    assert list(await table.tasks.counts()) == []
