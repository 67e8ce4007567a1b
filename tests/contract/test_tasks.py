"""What every adapter of `ports/tasks` promises: adding and claiming. The rest is in test_tasks_*."""

from __future__ import annotations

import asyncio
from itertools import chain

from headrace.model.task import NewTask, Retry, Status, Task
from tests.contract.task_tables import (
    ADA,
    BOB,
    EVE,
    LEASE,
    NOW,
    SECOND,
    TaskTable,
    ids,
    new,
    numbers,
    soon,
    task_id,
)  # fmt: skip

FULL = NewTask(
    task_id(1), "report.digest", ADA, NOW, b'{"b": 1e999,"a":"\xc3\xbc"}', "mail", 9, None, 3, 2.5,
    Retry(1.5, 3.0, 9.0), "once", b"\x00\xff", "customer 7", "https://example.com/done",
)  # fmt: skip

# --- adding ----------------------------------------------------------------------------------------------------------


async def test_a_task_comes_back_as_it_was_sent(table: TaskTable) -> None:
    await table.add(FULL)
    assert await table.get(FULL.id) == Task(
        id=FULL.id, type=FULL.type, owner=ADA, created_at=NOW, status=Status.QUEUED, args=FULL.args, queue="mail",
        priority=9, attempt=0, max_attempts=3, timeout=2.5, retry=FULL.retry, concurrency_key="customer 7",
        callback_url="https://example.com/done",
    )  # fmt: skip


async def test_args_of_the_largest_size_come_back(table: TaskTable) -> None:
    args = b'{"a":"' + b"x" * (256 * 1024 - 8) + b'"}'
    task = await table.claimed(new(1, args=args))
    assert task.args == args
    await table.end(task, result=b"[" + b" " * (1024 * 1024 - 2) + b"]")
    assert len((await table.get(task.id)).result or b"") == 1024 * 1024
    assert (await table.get(task.id)).args == args


async def test_an_unknown_task_is_none(table: TaskTable) -> None:
    assert await table.tasks.get(task_id(1)) is None


async def test_tasks_are_added_in_their_order_whatever_their_number(table: TaskTable) -> None:
    sent = [new(number) for number in range(2000, 0, -1)]
    assert await table.add(*sent) == [task.id for task in sent]
    assert await table.find(limit=2) == numbers(2000, 1999)


async def test_adding_nothing_is_nothing(table: TaskTable) -> None:
    assert list(await table.tasks.add([], NOW)) == []


async def test_a_task_that_is_there_is_not_added_again(table: TaskTable) -> None:
    (first,) = await table.tasks.add([new(1, fingerprint=b"f")], NOW)
    again = await table.tasks.add([new(1, fingerprint=b"f"), new(2)], NOW)
    assert first.is_new
    assert [(one.id, one.is_new) for one in again] == [(task_id(1), False), (task_id(2), True)]
    assert len(await table.claim()) == 2


async def test_a_repeated_task_that_has_run_is_left_as_it_is(table: TaskTable) -> None:
    await table.in_state(Status.SUCCEEDED, new(1))
    await table.add(new(1))
    assert await table.status(task_id(1)) == "succeeded"


async def test_a_key_brings_the_first_task_and_its_fingerprint(table: TaskTable) -> None:
    await table.tasks.add([new(1, idempotency_key="k", fingerprint=b"one")], NOW)
    (again,) = await table.tasks.add([new(2, idempotency_key="k", fingerprint=b"two")], NOW)
    assert (again.id, again.is_new, again.fingerprint) == (task_id(1), False, b"one")
    assert await table.find() == numbers(1)


async def test_a_key_counts_within_a_batch(table: TaskTable) -> None:
    sent = [
        new(1, idempotency_key="k", fingerprint=b"one"), new(2), new(3, idempotency_key="k", fingerprint=b"two"),
        new(4, idempotency_key="j"),
    ]  # fmt: skip
    added = await table.tasks.add(sent, NOW)
    assert [(one.id, one.is_new) for one in added] == [
        (task_id(1), True), (task_id(2), True), (task_id(1), False), (task_id(4), True),
    ]  # fmt: skip
    assert added[2].fingerprint == b"one"


async def test_a_key_is_its_owners_own(table: TaskTable) -> None:
    sent = [new(1, idempotency_key="k"), new(2, owner=BOB, idempotency_key="k")]
    assert [one.is_new for one in await table.tasks.add(sent, NOW)] == [True, True]


async def test_a_key_counts_after_the_end_of_its_task_until_that_is_deleted(table: TaskTable) -> None:
    await table.in_state(Status.SUCCEEDED, new(1, idempotency_key="k"))
    assert await table.add(new(2, idempotency_key="k")) == numbers(1)
    await table.tasks.delete(task_id(1))
    assert await table.add(new(3, idempotency_key="k")) == numbers(3)


async def test_one_key_from_many_sides_at_once_makes_one_task(table: TaskTable) -> None:
    calls = [table.tasks.add([new(number, idempotency_key="k")], NOW) for number in range(1, 9)]
    added = [one for answer in await asyncio.gather(*calls) for one in answer]
    assert sum(one.is_new for one in added) == 1
    assert len({one.id for one in added}) == 1


async def test_a_task_is_scheduled_only_if_its_time_lies_ahead(table: TaskTable) -> None:
    await table.add(new(1, run_at=NOW + 1), new(2, run_at=NOW), new(3, run_at=NOW - SECOND))
    assert [await table.status(one) for one in numbers(1, 2, 3)] == ["scheduled", "queued", "queued"]
    assert (await table.get(task_id(1))).run_at == NOW + 1


# --- claiming --------------------------------------------------------------------------------------------------------


async def test_a_claimed_task_is_running_under_a_lease(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    assert (task.status, task.attempt, task.started_at) == (Status.RUNNING, 1, NOW)
    assert task.leased_until == NOW + int(LEASE) * SECOND
    assert task.lease > 0
    assert await table.get(task.id) == task


async def test_a_task_is_claimed_once(table: TaskTable) -> None:
    await table.add(*(new(number) for number in range(1, 41)))
    claims = await asyncio.gather(*(table.claim(7) for _ in range(8)))
    assert sorted(chain.from_iterable(map(ids, claims))) == numbers(*range(1, 41))


async def test_each_claim_has_a_higher_number_than_every_one_before(table: TaskTable) -> None:
    await table.add(*(new(number) for number in range(1, 7)))
    leases = [task.lease for _ in range(2) for task in await table.claim(3)]
    again = await table.claimed(new(9), now=NOW + SECOND)
    assert len(set(leases)) == 6
    assert max(leases[:3]) < min(leases[3:])
    assert again.lease > max(leases)


async def test_no_more_are_claimed_than_wanted(table: TaskTable) -> None:
    await table.add(*(new(number) for number in range(1, 6)))
    assert len(await table.claim(2)) == 2
    assert len(await table.claim(10)) == 3
    assert list(await table.claim(10)) == []
    assert list(await table.claim(0)) == []


async def test_an_owners_tasks_go_by_priority_and_then_by_age(table: TaskTable) -> None:
    await table.add(new(1), new(2, priority=9), new(3, priority=0), new(4, priority=9), new(5))
    assert [ids(await table.claim(1)) for _ in range(5)] == [numbers(number) for number in (2, 4, 1, 5, 3)]


async def test_priority_counts_over_types_and_queues(table: TaskTable) -> None:
    await table.add(new(1), new(2, type="b", priority=7), new(3, queue="mail", priority=9), new(4, priority=0))
    assert ids(await table.claim(2)) in (numbers(3, 2), numbers(2, 3))
    assert ids(await table.claim(1)) == numbers(1)


async def test_a_claim_has_the_types_it_asks_for(table: TaskTable) -> None:
    await table.add(new(1, type="a"), new(2, type="b"), new(3, type="c"))
    assert sorted(ids(await table.claim(types=frozenset(("a", "c", "z"))))) == numbers(1, 3)
    assert list(await table.claim(types=frozenset())) == []
    assert ids(await table.claim(types=None)) == numbers(2)


async def test_a_claim_has_the_queue_it_asks_for(table: TaskTable) -> None:
    await table.add(new(1), new(2, queue="mail"))
    assert list(await table.claim(queue="none")) == []
    assert ids(await table.claim(queue="mail")) == numbers(2)


async def test_a_claim_has_the_owner_it_asks_for(table: TaskTable) -> None:
    await table.add(new(1), new(2, owner=BOB), new(3, owner=BOB, type="b"))
    assert sorted(ids(await table.claim(owner=BOB))) == numbers(2, 3)
    assert list(await table.claim(owner=EVE)) == []


async def test_an_owner_with_thousands_waiting_does_not_delay_anothers_single_task(table: TaskTable) -> None:
    await table.add(*(new(number, priority=9) for number in range(1, 3001)))
    await table.claim(64)
    await table.add(new(3001, owner=BOB, priority=0))
    claims = [ids(await table.claim(4)) for _ in range(2)]
    assert task_id(3001) in chain.from_iterable(claims)


async def test_claims_of_one_task_go_round_the_owners(table: TaskTable) -> None:
    owners = ["ann", "ben", "cyd"]
    await table.add(*(new(number, owner=owners[number % 3]) for number in range(1, 31)))
    served = [task.owner for _ in range(9) for task in await table.claim(1)]
    assert all(sorted(served[at : at + 3]) == owners for at in range(0, 9, 3))


async def test_a_claim_is_shared_out_among_the_owners(table: TaskTable) -> None:
    await table.add(*(new(number) for number in range(1, 101)), new(200, owner=BOB), new(201, owner=EVE))
    claim = await table.claim(10)
    assert len(claim) == 10
    assert {task.owner for task in claim} == {ADA, BOB, EVE}


async def test_more_owners_than_one_claim_serves_have_their_turn_in_the_next_ones(table: TaskTable) -> None:
    await table.add(*(new(number, owner=f"o{number % 100}") for number in range(1, 301)))
    owners = [task.owner for _ in range(10) for task in await table.claim(10)]
    assert len(set(owners)) == 100


async def test_fairness_counts_for_each_that_claims(table: TaskTable) -> None:
    """Whoever claims one type often takes no turn from the owners of another."""
    await table.add(*(new(number, owner=f"o{number % 10}", type="slow") for number in range(1, 41)))
    await table.add(*(new(number, owner="o5", type="quick") for number in range(101, 141)))
    served = []
    for _ in range(10):
        await table.claim(2, types=frozenset(("quick",)))
        served += [task.owner for task in await table.claim(1, types=frozenset(("slow",)))]
    assert len(set(served)) == 10


async def test_many_of_a_type_that_nobody_wants_are_not_in_the_way(table: TaskTable) -> None:
    await table.add(*(new(number, type="other") for number in range(1, 1001)), new(1001))
    assert ids(await table.claim(5, types=frozenset(("add",)))) == numbers(1001)


async def test_a_scheduled_task_is_not_claimed_before_its_time(table: TaskTable) -> None:
    await table.add(new(1, run_at=NOW + 10 * SECOND))
    assert list(await table.claim(now=NOW + 9 * SECOND)) == []


async def test_whoever_waits_is_woken_by_a_task(table: TaskTable) -> None:
    waiting = asyncio.create_task(table.tasks.wait(60))
    await asyncio.sleep(0.1)
    await table.add(new(1))
    await soon(waiting)


async def test_waiting_ends_when_its_time_is_up(table: TaskTable) -> None:
    await asyncio.wait_for(table.tasks.wait(0.05), 5)
