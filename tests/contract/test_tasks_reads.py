"""What every adapter of `ports/tasks` promises to those who read: lists, callbacks and the journal."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import Any

import msgspec
import pytest

from headrace.kit.ids import format_id
from headrace.model.task import Ending, Status, TaskChanges, TaskFilter
from headrace.model.task_journal import Line
from tests.contract.task_tables import ADA, BOB, EVE, GONE, MADE, NOW, SECOND, TaskTable, new, numbers, task_id

# --- lists -----------------------------------------------------------------------------------------------------------


async def test_the_newest_come_first_page_by_page(table: TaskTable) -> None:
    await table.add(*(new(number, (ADA, BOB)[number % 2], type=f"t{number % 3}") for number in (5, 3, 9, 1, 7, 2, 8)))
    assert await table.find() == numbers(9, 8, 7, 5, 3, 2, 1)
    assert await table.find(limit=3) == numbers(9, 8, 7)
    assert await table.find(limit=3, before=task_id(7)) == numbers(5, 3, 2)
    assert await table.find(limit=3, before=task_id(4)) == numbers(3, 2, 1)
    assert await table.find(limit=3, offset=5) == numbers(2, 1)
    assert await table.find(before=task_id(1)) == []


async def test_ids_of_one_moment_are_in_their_order_too(table: TaskTable) -> None:
    moment = [task_id(1) + at for at in (3, 0, 6, 1, 5)]
    await table.add(*(msgspec.structs.replace(new(1), id=one) for one in moment))
    found = await table.find()
    assert found == sorted(moment, reverse=True)
    assert await table.find(limit=2, before=found[1]) == found[2:4]


async def test_a_found_task_is_whole(table: TaskTable) -> None:
    await table.in_state(Status.SUCCEEDED, new(1, concurrency_key="k", callback_url="https://example.com"))
    (found,) = await table.tasks.find(TaskFilter(), limit=1)
    assert found == await table.get(task_id(1))


async def _various(table: TaskTable) -> None:
    """1–4: Ada's in four states, 5: Bob's that failed, 6–8: Ada's and Bob's others."""
    states = [Status.SUCCEEDED, Status.DEAD, Status.CANCELLED, Status.RUNNING]
    for number, status in enumerate(states, 1):
        await table.in_state(status, new(number, type="a" if number % 2 else "b"))
    await table.in_state(Status.FAILED, new(5, BOB, type="a", queue="mail"))
    await table.add(new(6, type="c", queue="mail"), new(7, BOB, type="b"), new(8, type="a", run_at=NOW + SECOND))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"owner": ADA}, [8, 6, 4, 3, 2, 1]),
        ({"owner": BOB}, [7, 5]),
        ({"owner": EVE}, []),
        ({"statuses": (Status.QUEUED,)}, [7, 6]),
        ({"statuses": (Status.DEAD, Status.FAILED)}, [5, 2]),
        ({"statuses": (Status.SCHEDULED, Status.RUNNING)}, [8, 4]),
        ({"types": ("a",)}, [8, 5, 3, 1]),
        ({"types": ("a", "c", "none")}, [8, 6, 5, 3, 1]),
        ({"queues": ("mail",)}, [6, 5]),
        ({"queues": ("mail", "default", "none")}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"since": MADE + 6000}, [8, 7, 6]),
        ({"until": MADE + 3000}, [2, 1]),
        ({"since": MADE + 3000, "until": MADE + 5000}, [4, 3]),
        ({"since": MADE + 5000, "until": MADE + 5000}, []),
        ({"owner": ADA, "statuses": (Status.CANCELLED, Status.DEAD)}, [3, 2]),
        ({"owner": ADA, "types": ("a",)}, [8, 3, 1]),
        ({"owner": BOB, "queues": ("mail",)}, [5]),
        ({"types": ("b",), "statuses": (Status.QUEUED, Status.RUNNING)}, [7, 4]),
        ({"types": ("a",), "queues": ("mail",), "statuses": (Status.FAILED,), "owner": BOB}, [5]),
        ({"types": ("a",), "queues": ("mail",), "statuses": (Status.FAILED,), "owner": ADA}, []),
        ({"owner": ADA, "types": ("a", "b"), "since": MADE + 2000, "until": MADE + 8000}, [4, 3, 2]),
    ],
)
async def test_each_filter_and_several_together(table: TaskTable, fields: dict[str, Any], found: list[int]) -> None:
    await _various(table)
    assert await table.find(**fields) == numbers(*found)
    pages = [await table.find(limit=1, offset=at, **fields) for at in range(len(found) + 1)]
    assert list(chain.from_iterable(pages)) == numbers(*found)
    for before, page in pairwise(found):
        assert await table.find(limit=1, before=task_id(before), **fields) == numbers(page)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("invoice",), [3, 1]),
        (("INVOICE",), [3, 1]),
        (("oic",), [3, 1]),
        (("müLLer",), [2]),
        (("report",), [4, 2]),
        (("timed out",), [3]),
        (("report", "müller"), [2]),
        (("report", "invoice"), []),
        (("nothing",), []),
        (('"n": 42',), [1]),
        (("%",), [4]),
        (("_x",), [4]),
        (("a",), [1, 2, 3, 4]),
        (('x" OR "',), []),
        (("*",), []),
        (("99",), [4]),
        (("9917",), [4]),
    ],
)
async def test_words_are_found_anywhere_in_any_case(table: TaskTable, words: tuple[str, ...], found: list[int]) -> None:
    await table.add(
        new(1, args=b'{"Invoice": true, "n": 42, "a": 0}'),
        new(2, type="report.digest", args='{"name": "Müller"}'.encode()),
    )
    await table.in_state(Status.CANCELLED, new(5, args=b"{}", type="z"))
    (one, two) = sorted(await table.claim(), key=lambda task: task.id)
    await table.add(new(3, type="mail.send", args=b'{"an":1}'))
    (three,) = await table.claim()
    await table.end(three, Ending.FAILED, error="the Invoice timed out")
    await table.add(new(4, type="report.all", args=b'{"k":"100%_x"}'))
    (four,) = await table.claim()
    await table.end(four, result=b'{"rows": 9917}')
    assert {one.id, two.id} == set(numbers(1, 2))
    assert sorted(await table.find(q=words)) == sorted(numbers(*found))


async def test_words_go_with_the_other_filters_and_with_pages(table: TaskTable) -> None:
    await table.add(*(new(number, (ADA, BOB)[number % 2], args=b'{"n":"needle"}') for number in range(1, 9)))
    await table.add(*(new(number, args=b'{"n":"hay"}') for number in range(11, 20)))
    assert await table.find(q=("needle",), owner=BOB) == numbers(7, 5, 3, 1)
    assert await table.find(q=("needle",), limit=2) == numbers(8, 7)
    assert await table.find(q=("needle",), limit=2, before=task_id(5)) == numbers(4, 3)
    assert await table.find(q=("needle",), limit=2, offset=5) == numbers(3, 2)
    assert await table.find(q=("needle",), since=MADE + 3000, until=MADE + 6000) == numbers(5, 4, 3)
    assert await table.find(q=("needle",), statuses=(Status.DEAD,)) == []


async def test_words_are_found_in_what_a_task_holds_now(table: TaskTable) -> None:
    await table.add(new(1, args=b'{"n":"before"}'))
    await table.tasks.change(task_id(1), TaskChanges(args=b'{"n":"after"}'), NOW)
    assert await table.find(q=("before",)) == []
    assert await table.find(q=("after",)) == numbers(1)
    (task,) = await table.claim()
    await table.end(task, Ending.FAILED, error="mistake")
    assert await table.find(q=("mistake",)) == numbers(1)
    await table.tasks.retry([task.id], NOW)
    assert await table.find(q=("mistake",)) == []
    assert await table.find(q=("after",)) == numbers(1)
    await table.tasks.cancel([task.id], NOW)
    await table.tasks.delete(task.id)
    assert await table.find(q=("after",)) == []


# --- callbacks -------------------------------------------------------------------------------------------------------


async def test_finished_tasks_are_called_back_once_seen_to(table: TaskTable) -> None:
    url = "https://example.com/done"
    states = [Status.SUCCEEDED, Status.FAILED, Status.DEAD, Status.CANCELLED, Status.RUNNING, Status.QUEUED]
    for number, status in enumerate(states, 1):
        await table.in_state(status, new(number, callback_url=url))
    await table.in_state(Status.CANCELLED, new(9))
    assert sorted(task.id for task in await table.tasks.callbacks(10)) == numbers(1, 2, 3, 4)
    assert len(await table.tasks.callbacks(2)) == 2
    (found,) = [task for task in await table.tasks.callbacks(10) if task.id == task_id(1)]
    assert found == await table.get(task_id(1))
    await table.tasks.called_back(numbers(1, 3, 9, 77))
    assert sorted(task.id for task in await table.tasks.callbacks(10)) == numbers(2, 4)
    await table.tasks.called_back([])


async def test_a_task_that_ends_again_is_called_back_again(table: TaskTable) -> None:
    await table.in_state(Status.FAILED, new(1, callback_url="https://example.com"))
    await table.tasks.called_back(numbers(1))
    await table.tasks.retry(numbers(1), NOW)
    assert list(await table.tasks.callbacks(10)) == []
    await table.tasks.cancel(numbers(1), NOW)
    assert [task.id for task in await table.tasks.callbacks(10)] == numbers(1)


async def test_a_task_that_is_retried_before_it_was_called_back_has_not_ended(table: TaskTable) -> None:
    await table.in_state(Status.FAILED, new(1, callback_url="https://example.com"))
    await table.tasks.retry(numbers(1), NOW)
    assert list(await table.tasks.callbacks(10)) == []


async def test_a_deleted_task_is_not_called_back(table: TaskTable) -> None:
    await table.in_state(Status.FAILED, new(1, callback_url="https://example.com"))
    await table.tasks.delete(task_id(1))
    assert list(await table.tasks.callbacks(10)) == []


# --- the journal -----------------------------------------------------------------------------------------------------


async def test_a_new_status_is_an_event(table: TaskTable) -> None:
    task = await table.claimed(new(1, type="report", queue="mail"))
    await table.end(task, Ending.FAILED, error="no such bucket", now=NOW + SECOND)
    *_, last = await table.events()
    assert last["action"] == "task.failed"
    assert last["level"] == "error"
    assert last["actor"] == {"id": ADA, "type": "owner"}
    assert last["time"].startswith("2027-01-15T09:00:01")
    assert "no such bucket" in last["message"]
    assert last["attributes"] == {"task_id": format_id(task.id), "type": "report", "queue": "mail", "attempt": 1}


async def test_every_status_of_a_task_is_told_in_order(table: TaskTable) -> None:
    task = await table.claimed(new(1, max_attempts=2))
    await table.end(task, Ending.RETRY, error="no", retry_at=NOW + SECOND)
    await table.tasks.sweep(NOW + SECOND)
    await table.claim(now=NOW + SECOND)
    await table.tasks.sweep(NOW + SECOND + GONE)
    assert await table.told(task.id) == ["queued", "running", "scheduled", "queued", "running", "dead"]


async def test_changes_by_hand_are_told_when_they_bring_a_new_status(table: TaskTable) -> None:
    await table.add(new(1, run_at=NOW + SECOND))
    await table.tasks.change(task_id(1), TaskChanges(priority=9, args=b'{"a":1}'), NOW)
    await table.tasks.change(task_id(1), TaskChanges(run_at=None), NOW)
    await table.tasks.cancel(numbers(1, 1), NOW)
    await table.tasks.retry(numbers(1, 1), NOW)
    (task,) = await table.claim()
    await table.tasks.cancel([task.id], NOW)
    await table.beat(task)
    await table.end(task, Ending.CANCELLED)
    assert await table.told(task.id) == ["scheduled", "queued", "cancelled", "queued", "running", "cancelled"]


async def test_a_lease_that_ended_is_told(table: TaskTable) -> None:
    task = await table.claimed(new(1))
    await table.tasks.free("here", NOW)
    await table.claim()
    await table.tasks.sweep(NOW + GONE)
    (again,) = await table.claim(now=NOW + GONE)
    await table.end(again, Ending.RELEASED)
    assert await table.told(task.id) == ["queued", "running"] * 3 + ["queued"]


async def test_what_changed_nothing_is_not_told(table: TaskTable) -> None:
    task = await table.in_state(Status.SUCCEEDED, new(1, idempotency_key="k"))
    before = await table.tasks.journal(1000)
    await table.add(new(1), new(2, idempotency_key="k"))
    await table.claim()
    await table.tasks.sweep(NOW + GONE)
    await table.tasks.cancel([task.id], NOW)
    await table.tasks.retry([task.id], NOW)
    await table.end(task)
    assert list(await table.tasks.journal(1000)) == list(before)


async def test_an_entry_counts_its_events_and_no_two_have_one_id(table: TaskTable) -> None:
    await table.add(*(new(number) for number in range(1, 6)))
    for _ in range(3):
        for task in await table.claim(2):
            await table.end(task)
    entries = await table.tasks.journal(1000)
    assert [entry.seq for entry in entries] == sorted({entry.seq for entry in entries})
    assert all(len(entry.lines.split(b"\n")) == entry.count for entry in entries)
    event_ids = [entry.first_id + at for entry in entries for at in range(entry.count)]
    assert len(set(event_ids)) == len(event_ids) == 15
    assert all(one >> 80 == NOW // 1000 and one >> 76 & 0xF == 7 for one in event_ids)
    assert all(entry.time == NOW for entry in entries)


async def test_entries_stay_as_they_are_until_they_are_forwarded(table: TaskTable) -> None:
    for number in range(1, 5):
        await table.add(new(number))
    entries = list(await table.tasks.journal(1000))
    assert list(await table.tasks.journal(2)) == entries[:2]
    await table.tasks.forwarded([entries[0].seq, entries[2].seq])
    assert list(await table.tasks.journal(1000)) == [entries[1], entries[3]]
    await table.tasks.forwarded([])
    await table.tasks.forwarded([entries[0].seq])
    assert list(await table.tasks.journal(1000)) == [entries[1], entries[3]]


async def test_what_a_handler_logged_is_an_event(table: TaskTable) -> None:
    first = Line(task_id(1), "add", "mail", ADA, 2, NOW, "warning", "half\nway", b'{"done":1e2}')
    await table.tasks.log([first, Line(task_id(1), "add", "mail", ADA, 2, NOW, "info", "done")])
    one, two = await table.events()
    assert (one["action"], one["level"], one["message"]) == ("task.log", "warning", "half\nway")
    assert one["attributes"] == {
        "task_id": format_id(task_id(1)), "type": "add", "queue": "mail", "attempt": 2, "fields": {"done": 100},
    }  # fmt: skip
    assert two["message"] == "done"
    await table.tasks.log([])
    assert len(await table.events()) == 2
