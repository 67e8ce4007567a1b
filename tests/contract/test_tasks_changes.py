"""What every adapter of `ports/tasks` promises: change, cancel, retry, delete, purge, and keys that let one run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headrace.errors import Conflict
from headrace.model.task import FINISHED, RETRIABLE, Ending, NewTask, QueueChanges, Status, TaskChanges
from tests.contract.task_tables import ADA, BOB, GONE, NOW, SECOND, TaskTable, ids, new, numbers, soon, task_id

# --- change ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED])
async def test_a_task_that_waits_can_be_changed(table: TaskTable, status: Status) -> None:
    task = await table.in_state(status, new(1))
    changed = await table.tasks.change(task.id, TaskChanges(args=b'{"a":6}', priority=8), NOW)
    assert changed
    assert (changed.args, changed.priority, changed.status) == (b'{"a":6}', 8, status)
    assert changed.run_at == task.run_at
    assert await table.get(task.id) == changed


@pytest.mark.parametrize("status", sorted({Status.RUNNING, *FINISHED}))
async def test_a_task_that_runs_or_ended_cannot_be_changed(table: TaskTable, status: Status) -> None:
    task = await table.in_state(status, new(1))
    with pytest.raises(Conflict):
        await table.tasks.change(task.id, TaskChanges(priority=8), NOW)
    assert await table.get(task.id) == task


async def test_no_change_is_a_change_of_nothing(table: TaskTable) -> None:
    task = await table.in_state(Status.QUEUED, new(1))
    assert await table.tasks.change(task.id, TaskChanges(), NOW) == task


async def test_the_change_of_an_unknown_task_is_none(table: TaskTable) -> None:
    assert await table.tasks.change(task_id(1), TaskChanges(priority=1), NOW) is None


async def test_a_new_priority_counts_at_the_next_claim(table: TaskTable) -> None:
    await table.add(new(1), new(2), new(3))
    await table.tasks.change(task_id(3), TaskChanges(priority=9), NOW)
    await table.tasks.change(task_id(1), TaskChanges(priority=0), NOW)
    assert [ids(await table.claim(1)) for _ in range(3)] == [numbers(3), numbers(2), numbers(1)]


async def test_a_time_that_lies_ahead_makes_it_scheduled(table: TaskTable) -> None:
    await table.add(new(1))
    changed = await table.tasks.change(task_id(1), TaskChanges(run_at=NOW + SECOND), NOW)
    assert changed
    assert (changed.status, changed.run_at) == (Status.SCHEDULED, NOW + SECOND)
    assert list(await table.claim()) == []
    assert (await table.tasks.sweep(NOW + SECOND)).due == 1


@pytest.mark.parametrize("run_at", [None, NOW, NOW - SECOND])
async def test_no_time_or_one_that_passed_makes_it_queued(table: TaskTable, run_at: int | None) -> None:
    await table.in_state(Status.SCHEDULED, new(1))
    waiting = asyncio.create_task(table.tasks.wait(60))
    await asyncio.sleep(0.1)
    changed = await table.tasks.change(task_id(1), TaskChanges(run_at=run_at), NOW)
    assert changed
    assert changed.status is Status.QUEUED
    await soon(waiting)
    assert ids(await table.claim()) == numbers(1)


# --- cancel ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED])
async def test_a_task_that_waits_is_cancelled_at_once(table: TaskTable, status: Status) -> None:
    await table.in_state(status, new(1))
    (cancelled,) = await table.tasks.cancel([task_id(1)], NOW)
    assert cancelled
    assert (cancelled.status, cancelled.finished_at) == (Status.CANCELLED, NOW)
    await table.tasks.sweep(NOW + 7200 * SECOND)
    assert list(await table.claim(now=NOW + 7200 * SECOND)) == []


async def test_a_running_task_is_asked_to_stop(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    assert not (await table.beat(task)).cancelling
    (cancelled,) = await table.tasks.cancel([task.id], NOW)
    assert cancelled
    assert (cancelled.status, cancelled.cancelling, cancelled.lease) == (Status.RUNNING, True, task.lease)
    assert (await table.beat(task)).cancelling


async def test_being_asked_to_stop_ends_with_the_attempt(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.tasks.cancel([task.id], NOW)
    await table.tasks.sweep(NOW + GONE)
    await table.tasks.retry([task.id], NOW + GONE)
    (again,) = await table.claim(now=NOW + GONE)
    assert not again.cancelling
    assert not (await table.beat(again, now=NOW + GONE)).cancelling


@pytest.mark.parametrize("status", sorted(FINISHED))
async def test_a_finished_task_is_not_cancelled(table: TaskTable, status: Status) -> None:
    task = await table.in_state(status, new(1))
    assert list(await table.tasks.cancel([task.id], NOW + SECOND)) == [task]


async def test_tasks_are_cancelled_in_their_order(table: TaskTable) -> None:
    await table.add(new(1), new(2))
    done = await table.tasks.cancel([task_id(2), task_id(9), task_id(1), task_id(2)], NOW)
    assert [task and task.id for task in done] == [task_id(2), None, task_id(1), task_id(2)]
    assert list(await table.tasks.cancel([], NOW)) == []


# --- retry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(RETRIABLE))
async def test_a_task_is_queued_again_with_all_attempts(table: TaskTable, status: Status) -> None:
    task = await table.in_state(status, new(1))
    waiting = asyncio.create_task(table.tasks.wait(60))
    await asyncio.sleep(0.1)
    (again,) = await table.tasks.retry([task.id], NOW + SECOND)
    assert again
    assert (again.status, again.attempt, again.result, again.error) == (Status.QUEUED, 0, None, None)
    assert (again.run_at, again.started_at, again.finished_at, again.args) == (None, None, None, task.args)
    await soon(waiting)
    (claimed,) = await table.claim(now=NOW + SECOND)
    assert (claimed.id, claimed.attempt) == (task.id, 1)


@pytest.mark.parametrize("status", sorted(set(Status) - RETRIABLE))
async def test_other_tasks_are_left_alone(table: TaskTable, status: Status) -> None:
    task = await table.in_state(status, new(1))
    assert list(await table.tasks.retry([task.id], NOW)) == [task]


async def test_a_task_that_waits_for_its_retry_need_not_wait(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.end(task, Ending.RETRY, error="no answer", retry_at=NOW + 3600 * SECOND)
    (again,) = await table.tasks.retry([task.id], NOW)
    assert again
    assert (again.status, again.attempt, again.error, again.run_at) == (Status.QUEUED, 0, None, None)


async def test_tasks_are_retried_in_their_order(table: TaskTable) -> None:
    for number in (1, 2):
        await table.in_state(Status.CANCELLED, new(number))
    done = await table.tasks.retry([task_id(2), task_id(9), task_id(1)], NOW)
    assert [task and task.id for task in done] == [task_id(2), None, task_id(1)]


# --- delete and purge ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(FINISHED))
async def test_a_finished_task_can_be_deleted(table: TaskTable, status: Status) -> None:
    task = await table.in_state(status, new(1))
    assert await table.tasks.delete(task.id)
    assert await table.tasks.get(task.id) is None
    assert await table.find() == []
    assert not await table.tasks.delete(task.id)
    assert list(await table.tasks.counts()) == []


@pytest.mark.parametrize("status", sorted(set(Status) - FINISHED))
async def test_an_unfinished_task_cannot_be_deleted(table: TaskTable, status: Status) -> None:
    task = await table.in_state(status, new(1))
    with pytest.raises(Conflict):
        await table.tasks.delete(task.id)
    assert await table.get(task.id) == task


async def test_a_purge_takes_what_finished_before(table: TaskTable) -> None:
    await table.add(*(new(number, idempotency_key=str(number)) for number in range(1, 6)))
    for number, task in enumerate(sorted(await table.claim(4), key=lambda task: task.id)):
        await table.end(task, now=NOW + number * SECOND)
    purged = 0
    while some := await table.tasks.purge(NOW + 2 * SECOND):
        purged += some
    assert purged == 2
    assert sorted(await table.find()) == numbers(3, 4, 5)
    assert await table.add(new(9, idempotency_key="1")) == numbers(9)


async def test_what_is_unfinished_is_never_purged(table: TaskTable) -> None:
    for status in (Status.RUNNING, Status.QUEUED, Status.SCHEDULED):
        await table.in_state(status, new(len(await table.find()) + 1))
    assert await table.tasks.purge(NOW + 10**9 * SECOND) == 0
    assert len(await table.find()) == 3


# --- concurrency keys ------------------------------------------------------------------------------------------------


def keyed(number: int, owner: str = ADA, key: str = "k", **fields: Any) -> NewTask:
    return new(number, owner, concurrency_key=key, **fields)


async def test_of_a_key_one_task_runs(table: TaskTable) -> None:
    await table.add(keyed(1), keyed(2), keyed(3), new(4))
    first = sorted(await table.claim(), key=lambda task: task.id)
    assert ids(first) == numbers(1, 4)
    assert list(await table.claim()) == []
    await table.end(first[0])
    assert ids(await table.claim()) == numbers(2)


async def test_keys_are_their_owners_own(table: TaskTable) -> None:
    await table.add(keyed(1), keyed(2, BOB), keyed(3, key="j"))
    assert sorted(ids(await table.claim())) == numbers(1, 2, 3)


async def test_a_key_counts_over_queues_and_types(table: TaskTable) -> None:
    await table.add(keyed(1), keyed(2, queue="mail", type="b"))
    assert len(await table.claim()) == 1
    assert list(await table.claim()) == []


async def test_a_task_that_cannot_run_holds_up_no_other_of_its_key(table: TaskTable) -> None:
    await table.tasks.change_queue("mail", QueueChanges(paused=True))
    await table.add(keyed(1, queue="mail"), keyed(2, type="no handler"), keyed(3), keyed(4))
    (task,) = await table.claim(types=frozenset(("add",)))
    assert task.id == task_id(3)
    await table.tasks.change_queue("mail", QueueChanges(paused=False))
    assert list(await table.claim()) == []
    await table.end(task)
    assert len(await table.claim()) == 1
    assert list(await table.claim()) == []


async def test_tasks_behind_a_key_are_queued_and_counted_so(table: TaskTable) -> None:
    await table.add(keyed(1), keyed(2), keyed(3))
    await table.claim()
    assert await table.status(task_id(2)) == "queued"
    (queue,) = await table.tasks.queues()
    assert (queue.queued, queue.running) == (2, 1)


async def test_behind_a_key_the_highest_priority_comes_first(table: TaskTable) -> None:
    task = await table.claimed(keyed(1))
    await table.add(keyed(2), keyed(3, priority=9), keyed(4))
    await table.end(task)
    assert ids(await table.claim()) == numbers(3)


@pytest.mark.parametrize(
    ("ending", "fields"),
    [
        (Ending.FAILED, {"error": "no"}),
        (Ending.CANCELLED, {}),
        (Ending.RETRY, {"retry_at": NOW + SECOND, "error": "no"}),
        (Ending.SUCCEEDED, {"result": b"1"}),
    ],
)
async def test_the_next_of_a_key_may_run_however_the_first_ended(
    table: TaskTable, ending: Ending, fields: dict[str, Any]
) -> None:
    task = await table.claimed(keyed(1))
    await table.add(keyed(2))
    waiting = asyncio.create_task(table.tasks.wait(60))
    await asyncio.sleep(0.1)
    await table.end(task, ending, **fields)
    await soon(waiting)
    assert ids(await table.claim()) == numbers(2)


@pytest.mark.parametrize("ending", [Ending.RELEASED, Ending.RETRY])
async def test_of_those_that_are_queued_again_one_of_the_key_runs(table: TaskTable, ending: Ending) -> None:
    task = await table.claimed(keyed(1))
    await table.add(keyed(2))
    await table.end(task, ending, error="no", retry_at=NOW)
    assert len(await table.claim()) == 1
    assert list(await table.claim()) == []


async def test_a_retry_of_a_key_that_falls_due_waits_for_the_one_that_runs(table: TaskTable) -> None:
    first = await table.claimed(keyed(1))
    await table.add(keyed(2))
    await table.end(first, Ending.RETRY, error="no", retry_at=NOW + SECOND)
    (second,) = await table.claim()
    assert (await table.tasks.sweep(NOW + SECOND)).due == 1
    assert list(await table.claim(now=NOW + SECOND)) == []
    await table.end(second)
    assert ids(await table.claim(now=NOW + SECOND)) == [first.id]


async def test_the_next_of_a_key_may_run_when_the_lease_ran_out(table: TaskTable) -> None:
    await table.claimed(keyed(1, max_attempts=1))
    await table.add(keyed(2))
    await table.tasks.sweep(NOW + GONE)
    assert ids(await table.claim(now=NOW + GONE)) == numbers(2)


async def test_the_next_of_a_key_may_run_when_the_holder_is_gone(table: TaskTable) -> None:
    await table.claimed(keyed(1, max_attempts=1))
    await table.add(keyed(2))
    await table.tasks.free("here", NOW)
    assert ids(await table.claim()) == numbers(2)


async def test_the_next_of_a_key_may_run_when_the_first_was_ended_by_force(table: TaskTable) -> None:
    task = await table.claimed(keyed(1))
    await table.add(keyed(2))
    await table.tasks.cancel([task.id], NOW)
    await table.beat(task, 3600)
    await table.tasks.sweep(NOW + 31 * SECOND)
    assert ids(await table.claim(now=NOW + 31 * SECOND)) == numbers(2)


async def test_the_next_of_a_key_may_run_when_the_one_before_it_was_cancelled(table: TaskTable) -> None:
    await table.add(keyed(1), keyed(2), keyed(3))
    await table.tasks.cancel([task_id(1), task_id(2)], NOW)
    assert ids(await table.claim()) == numbers(3)
    await table.tasks.delete(task_id(1))
    assert list(await table.claim()) == []


async def test_the_next_of_a_key_may_run_when_the_one_before_it_was_put_off(table: TaskTable) -> None:
    await table.add(keyed(1), keyed(2))
    await table.tasks.change(task_id(1), TaskChanges(run_at=NOW + SECOND), NOW)
    assert ids(await table.claim()) == numbers(2)


async def test_a_scheduled_task_does_not_hold_up_its_key(table: TaskTable) -> None:
    await table.add(keyed(1, run_at=NOW + SECOND), keyed(2))
    assert ids(await table.claim()) == numbers(2)


async def test_a_task_behind_a_key_can_be_changed_and_cancelled(table: TaskTable) -> None:
    task = await table.claimed(keyed(1))
    await table.add(keyed(2), keyed(3), keyed(4))
    await table.tasks.change(task_id(4), TaskChanges(priority=9), NOW)
    await table.tasks.change(task_id(3), TaskChanges(run_at=NOW + SECOND), NOW)
    await table.tasks.cancel([task_id(2)], NOW)
    assert list(await table.claim()) == []
    await table.end(task)
    assert ids(await table.claim()) == numbers(4)


async def test_a_retried_task_waits_behind_its_key(table: TaskTable) -> None:
    await table.in_state(Status.CANCELLED, keyed(1))
    second = await table.claimed(keyed(2))
    await table.tasks.retry([task_id(1)], NOW)
    assert list(await table.claim()) == []
    await table.end(second)
    assert ids(await table.claim()) == numbers(1)
