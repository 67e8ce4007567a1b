"""What every adapter of `ports/tasks` promises of leases, of how attempts end, and of the sweep."""

from __future__ import annotations

import asyncio

import pytest

from headrace.kit.times import DAY
from headrace.model.task import Beat, Ending, Outcome, Status, Wanted
from tests.contract.task_tables import GONE, LEASE, NOW, SECOND, TaskTable, ids, new, numbers, soon, task_id

# --- leases ----------------------------------------------------------------------------------------------------------


async def test_a_beat_makes_the_lease_longer(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    later = NOW + 30 * SECOND
    heard = await table.beat(task, 90, later, b'{"done": 3}')
    assert (heard.id, heard.held, heard.cancelling, heard.leased_until) == (task.id, True, False, later + 90 * SECOND)
    assert (await table.get(task.id)).progress == b'{"done": 3}'
    await table.beat(task, 90, later)
    assert (await table.get(task.id)).progress == b'{"done": 3}'


async def test_a_lease_may_last_a_fraction_of_a_second(table: TaskTable) -> None:
    await table.add(new(1))
    (task,) = await table.tasks.claim(Wanted("here", 1, 0.5), NOW)
    assert task.leased_until == NOW + SECOND // 2


async def test_a_lease_that_was_made_longer_is_not_swept(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.beat(task, 3600)
    assert (await table.tasks.sweep(NOW + GONE)).expired == 0
    assert await table.status(task.id) == "running"


async def test_beats_are_answered_in_their_order(table: TaskTable) -> None:
    await table.add(new(1), new(2), new(3))
    claimed = {task.id: task for task in await table.claim()}
    beats = [Beat(one, claimed[one].lease) for one in numbers(3, 1, 2)]
    beats[1] = Beat(beats[1].id, beats[1].lease + 1000)
    beats.append(Beat(task_id(77), 1))
    heard = await table.tasks.beat(beats, LEASE, NOW)
    assert [(one.id, one.held) for one in heard] == [
        (task_id(3), True), (task_id(1), False), (task_id(2), True), (task_id(77), False),
    ]  # fmt: skip


async def test_an_old_lease_is_refused_after_its_task_was_claimed_again(table: TaskTable) -> None:
    old = await table.claimed(new(1))
    await table.tasks.sweep(NOW + GONE)
    (again,) = await table.claim(now=NOW + GONE)
    assert (again.id, again.attempt) == (old.id, 2)
    assert again.lease > old.lease
    assert not (await table.beat(old, now=NOW + GONE)).held
    for ending in Ending:
        assert await table.end(old, ending, now=NOW + GONE) is None
    assert await table.get(old.id) == again
    assert await table.end(again, now=NOW + GONE)


async def test_a_lease_that_was_ended_is_refused_while_its_task_waits(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.tasks.sweep(NOW + GONE)
    assert not (await table.beat(task, now=NOW + GONE)).held
    assert await table.end(task, now=NOW + GONE) is None
    assert await table.status(task.id) == "queued"


async def test_a_lease_that_ran_out_still_finishes_if_nobody_has_ended_it(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    assert (await table.beat(task, now=NOW + GONE)).held
    ended = await table.end(task, now=NOW + 10 * GONE)
    assert ended
    assert ended.status is Status.SUCCEEDED


async def test_a_finished_task_cannot_be_finished_again(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    outcome = Outcome(task.id, task.lease, Ending.SUCCEEDED, result=b"1")
    first, second = await table.tasks.finish([outcome, outcome], NOW)
    assert first
    assert second is None
    assert await table.end(task, Ending.FAILED) is None
    assert (await table.get(task.id)).result == b"1"


async def test_a_task_whose_lease_ran_out_is_queued_at_once_and_the_attempt_counts(table: TaskTable) -> None:
    task = await table.claimed(new(1, max_attempts=2))
    swept = await table.tasks.sweep(NOW + GONE)
    assert (swept.expired, swept.ended) == (1, ())
    (again,) = await table.claim(now=NOW + GONE)
    assert (again.id, again.attempt) == (task.id, 2)
    swept = await table.tasks.sweep(NOW + 2 * GONE)
    assert (swept.expired, swept.ended) == (1, (task.id,))
    dead = await table.get(task.id)
    assert (dead.status, dead.finished_at, dead.leased_until) == (Status.DEAD, NOW + 2 * GONE, None)
    assert dead.error


async def test_whoever_waits_is_woken_when_a_lease_ends(table: TaskTable) -> None:
    await table.claimed(new(1))
    waiting = asyncio.create_task(table.tasks.wait(60))
    await asyncio.sleep(0.1)
    await table.tasks.sweep(NOW + GONE)
    await soon(waiting)


async def test_the_leases_of_a_holder_that_is_gone_end_at_once(table: TaskTable) -> None:
    await table.add(*(new(number) for number in range(1, 4)), new(4, max_attempts=1))
    mine = await table.claim(2, holder="gone")
    other = await table.claim(1, holder="here")
    await table.claim(1, holder="gone")
    assert await table.tasks.free("gone", NOW) == 3
    assert await table.tasks.free("gone", NOW) == 0
    assert await table.status(other[0].id) == "running"
    assert {await table.status(one) for one in ids(mine)} == {"queued"}
    assert await table.status(task_id(4)) == "dead"


# --- how attempts end ------------------------------------------------------------------------------------------------


async def test_success_has_its_result(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    ended = await table.end(task, result=b"15", now=NOW + SECOND)
    assert ended
    assert (ended.status, ended.result, ended.error) == (Status.SUCCEEDED, b"15", None)
    assert (ended.attempt, ended.started_at, ended.finished_at) == (1, NOW, NOW + SECOND)
    assert ended.leased_until is None
    assert await table.get(task.id) == ended


async def test_a_permanent_error_is_no_reason_to_try_again(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    ended = await table.end(task, Ending.FAILED, error="no such bucket")
    assert ended
    assert (ended.status, ended.error, ended.finished_at) == (Status.FAILED, "no such bucket", NOW)


async def test_a_retry_waits_for_its_time(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    ended = await table.end(task, Ending.RETRY, error="no answer", retry_at=NOW + 10 * SECOND)
    assert ended
    assert (ended.status, ended.error, ended.run_at) == (Status.SCHEDULED, "no answer", NOW + 10 * SECOND)
    assert ended.finished_at is None
    assert (await table.tasks.sweep(NOW + 9 * SECOND)).due == 0
    assert (await table.tasks.sweep(NOW + 10 * SECOND)).due == 1
    (again,) = await table.claim(now=NOW + 10 * SECOND)
    assert (again.id, again.attempt) == (task.id, 2)
    done = await table.end(again, result=b"1")
    assert done
    assert done.error is None


async def test_a_retry_that_is_due_is_queued_at_once(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    ended = await table.end(task, Ending.RETRY, error="no answer", retry_at=NOW)
    assert ended
    assert ended.status is Status.QUEUED
    assert ids(await table.claim()) == [task.id]


async def test_the_last_attempt_is_followed_by_none(table: TaskTable) -> None:
    await table.add(new(1, max_attempts=3))
    states = []
    for _ in range(3):
        (task,) = await table.claim()
        await table.end(task, Ending.RETRY, error="no answer", retry_at=NOW)
        states.append(await table.status(task.id))
    assert states == ["queued", "queued", "dead"]
    dead = await table.get(task_id(1))
    assert (dead.attempt, dead.error, dead.finished_at) == (3, "no answer", NOW)
    assert list(await table.claim()) == []


async def test_an_attempt_that_did_not_happen_does_not_count(table: TaskTable) -> None:
    task = await table.claimed(new(1, max_attempts=1))
    released = await table.end(task, Ending.RELEASED)
    assert released
    assert (released.status, released.attempt, released.leased_until) == (Status.QUEUED, 0, None)
    (again,) = await table.claim()
    assert (again.id, again.attempt) == (task.id, 1)
    assert again.lease > task.lease


async def test_a_task_may_end_as_cancelled(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.tasks.cancel([task.id], NOW)
    ended = await table.end(task, Ending.CANCELLED, error="asked to stop")
    assert ended
    assert (ended.status, ended.finished_at, ended.cancelling) == (Status.CANCELLED, NOW, False)


@pytest.mark.parametrize("ending", [Ending.RETRY, Ending.RELEASED])
async def test_a_task_that_was_asked_to_stop_does_not_come_back(table: TaskTable, ending: Ending) -> None:
    task = await table.claimed(new(1))
    await table.tasks.cancel([task.id], NOW)
    ended = await table.end(task, ending, retry_at=NOW + SECOND)
    assert ended
    assert ended.status is Status.CANCELLED


async def test_a_task_that_was_asked_to_stop_may_have_succeeded(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.tasks.cancel([task.id], NOW)
    ended = await table.end(task, result=b"1")
    assert ended
    assert (ended.status, ended.cancelling) == (Status.SUCCEEDED, False)


async def test_outcomes_are_answered_in_their_order(table: TaskTable) -> None:
    await table.add(*(new(number) for number in range(1, 5)))
    lease = {task.id: task.lease for task in await table.claim()}
    outcomes = [Outcome(one, lease[one], Ending.SUCCEEDED, result=b"%d" % one) for one in numbers(4, 2, 3, 1)]
    outcomes[1] = Outcome(task_id(2), lease[task_id(2)] + 99, Ending.SUCCEEDED)
    outcomes.append(Outcome(task_id(99), 1, Ending.SUCCEEDED))
    ended = await table.tasks.finish(outcomes, NOW)
    assert [task and task.id for task in ended] == [task_id(4), None, task_id(3), task_id(1), None]
    assert [task.result for task in ended if task] == [b"%d" % one for one in numbers(4, 3, 1)]


# --- sweeping --------------------------------------------------------------------------------------------------------


async def test_a_sweep_queues_what_is_due(table: TaskTable) -> None:
    await table.add(*(new(number, run_at=NOW + number * SECOND) for number in range(1, 5)))
    swept = await table.tasks.sweep(NOW + 2 * SECOND)
    assert (swept.due, swept.expired, swept.next_at) == (2, 0, NOW + 3 * SECOND)
    assert sorted(ids(await table.claim(now=NOW + 2 * SECOND))) == numbers(1, 2)


async def test_a_sweep_says_when_the_next_lease_ends(table: TaskTable) -> None:
    await table.claimed(new(1))
    ends = NOW + int(LEASE) * SECOND
    next_at = (await table.tasks.sweep(NOW)).next_at
    assert next_at
    assert ends <= next_at <= ends + 2 * SECOND


async def test_a_sweep_says_the_earlier_of_both(table: TaskTable) -> None:
    await table.claimed(new(1))
    await table.add(new(2, run_at=NOW + SECOND))
    assert (await table.tasks.sweep(NOW)).next_at == NOW + SECOND


async def test_with_nothing_to_come_a_sweep_has_no_next_time(table: TaskTable) -> None:
    await table.add(new(1))
    swept = await table.tasks.sweep(NOW)
    assert (swept.due, swept.expired, swept.ended, swept.next_at, swept.more) == (0, 0, (), None, False)


async def test_sweeps_come_to_an_end_of_what_is_due(table: TaskTable) -> None:
    await table.add(*(new(number, run_at=NOW + SECOND) for number in range(1, 5001)))
    due = 0
    more = True
    while more:
        swept = await table.tasks.sweep(NOW + SECOND)
        due += swept.due
        more = swept.more
        assert swept.due or not more
    assert due == 5000


async def test_a_task_that_was_asked_to_stop_is_ended_when_its_lease_runs_out(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.tasks.cancel([task.id], NOW)
    assert (await table.tasks.sweep(NOW + GONE)).ended == (task.id,)
    assert await table.status(task.id) == "cancelled"


async def test_a_task_that_was_asked_to_stop_and_goes_on_is_ended_after_half_a_minute(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.tasks.cancel([task.id], NOW)
    assert (await table.beat(task, 3600, NOW + 20 * SECOND)).cancelling
    assert (await table.tasks.sweep(NOW + 29 * SECOND)).ended == ()
    await table.tasks.cancel([task.id], NOW + 29 * SECOND)  # asking again gives it no longer
    assert (await table.tasks.sweep(NOW + 31 * SECOND)).ended == (task.id,)
    ended = await table.get(task.id)
    assert (ended.status, ended.finished_at) == (Status.CANCELLED, NOW + 31 * SECOND)
    assert not (await table.beat(task, now=NOW + 32 * SECOND)).held
    assert await table.end(task, now=NOW + 32 * SECOND) is None


async def test_a_lease_given_while_the_clock_was_a_day_ahead_ends_after_an_hour(table: TaskTable) -> None:
    await table.add(new(1))
    (task,) = await table.tasks.claim(Wanted("here", 1, 15), NOW + DAY)
    assert (await table.tasks.sweep(NOW)).expired == 0
    assert await table.status(task.id) == "running"
    assert (await table.tasks.sweep(NOW + 3_600 * SECOND + GONE)).expired == 1
    assert await table.status(task.id) == "queued"


async def test_a_patient_sweep_leaves_leases_alone_that_ran_out(table: TaskTable) -> None:
    await table.add(new(1))
    (task,) = await table.tasks.claim(Wanted("here", 1, 15), NOW)
    assert (await table.tasks.sweep(NOW + DAY, DAY)).expired == 0
    assert await table.status(task.id) == "running"
    assert (await table.tasks.sweep(NOW + DAY + 15 * SECOND + GONE, DAY)).expired == 1
    assert await table.status(task.id) == "queued"


async def test_the_longest_lease_is_left_as_it_is(table: TaskTable) -> None:
    await table.add(new(1))
    (task,) = await table.tasks.claim(Wanted("here", 1, 3_600), NOW)
    await table.tasks.sweep(NOW)
    assert (await table.get(task.id)).leased_until == NOW + 3_600 * SECOND
