"""`ports/task_move`: tasks arrive in the other profile as they were, go on there, and are there once."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.postgres.task_move import PostgresMoveTasks
from headrace.adapters.sqlite import task_move as sqlite_task_move
from headrace.adapters.sqlite.task_move import SqliteMoveTasks
from headrace.errors import Conflict, Unusable
from headrace.model.schedule import CatchUp
from headrace.model.task import Ending, QueueChanges, Status, Task, TaskFilter, TaskQueue
from headrace.model.task_move import TaskPage, TaskTotals
from headrace.operations.task_move import TaskMove
from headrace.ports.task_move import TaskPart
from tests.contract.task_tables import (
    ADA,
    BOB,
    GONE,
    NOW,
    SECOND,
    TASK_TABLES,
    TaskTable,
    ids,
    new,
    numbers,
    task_id,
)  # fmt: skip
from tests.contract.test_schedules import schedule
from tests.contract.test_tasks import FULL

Fill = Callable[[TaskTable], Awaitable[object]]


class Silent:
    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


@dataclass
class Both:
    """A task table in a file, and where it moves to. `opened` are closed at the end."""

    folder: Path
    url: str
    opened: list[TaskTable] = field(default_factory=list)

    async def here(self) -> TaskTable:
        return await self._open("sqlite", str(self.folder))

    async def there(self) -> TaskTable:
        return await self._open("postgres", self.url)

    async def fill(self, fill: Fill) -> None:
        table = await self.here()
        await fill(table)
        await table.close()

    async def move(self, source: str = "a") -> tuple[TaskTotals, TaskTotals]:
        """What there was on both sides."""
        here = await SqliteMoveTasks.open(self.folder / "tasks.db")
        there = await PostgresMoveTasks.open(self.url, MemoryClock(NOW))
        try:
            await there.look(source)
            return await TaskMove(here, there, MemoryClock(NOW), Silent()).run(source)
        finally:
            await there.close()
            await here.close()

    async def moved(self, fill: Fill) -> TaskTable:
        """The table there, once all has moved."""
        await self.fill(fill)
        here, there = await self.move()
        assert here == there
        return await self.there()

    async def _open(self, kind: str, place: str) -> TaskTable:
        self.opened.append(table := await TASK_TABLES[kind](place))
        return table


@pytest.fixture
async def both(tmp_path: Path, postgres_url: str) -> AsyncIterator[Both]:
    both = Both(tmp_path, postgres_url)
    yield both
    for table in both.opened:
        await table.close()


async def one_of_each(table: TaskTable) -> None:
    for number, status in enumerate((status for status in Status if status is not Status.RUNNING), 1):
        await table.in_state(status, msgspec.structs.replace(new(number, queue="q", idempotency_key=f"k{number}")))
        if status is Status.QUEUED:
            await table.tasks.change_queue("q", QueueChanges(concurrency=7))
            await table.tasks.cancel([task_id(number)], NOW)
            await table.tasks.delete(task_id(number))
    await table.add(msgspec.structs.replace(FULL, id=task_id(50)))


async def everything(table: TaskTable) -> list[Task]:
    return list(await table.tasks.find(TaskFilter(), limit=1000))


async def test_tasks_of_every_state_arrive_as_they_were(both: Both) -> None:
    there = await both.moved(one_of_each)
    here = await both.here()
    found = await everything(there)
    assert found == await everything(here)
    assert {task.status for task in found} == {*Status} - {Status.RUNNING}
    assert list(await there.tasks.counts()) == list(await here.tasks.counts())
    assert list(await there.tasks.queues()) == list(await here.tasks.queues())


async def test_what_was_tried_before_keeps_its_attempt_error_and_progress(both: Both) -> None:
    async def fill(table: TaskTable) -> None:
        task = await table.claimed(new(1))
        await table.beat(task, progress=b'{"at":7}')
        await table.end(task, Ending.RETRY, error="No\0answer", retry_at=NOW + 5 * SECOND)

    there = await both.moved(fill)
    task = await there.get(task_id(1))
    assert (task.status, task.attempt, task.started_at) == (Status.SCHEDULED, 1, NOW)
    assert (task.progress, task.run_at) == (b'{"at":7}', NOW + 5 * SECOND)
    assert task.error == "No\N{REPLACEMENT CHARACTER}answer"
    assert await there.find(q=("answer",)) == numbers(1)
    await there.tasks.sweep(NOW + 6 * SECOND)
    (again,) = await there.claim(now=NOW + 6 * SECOND)
    assert again.attempt == 2


async def test_running_tasks_are_queued_again_and_their_attempt_counts(both: Both) -> None:
    async def fill(table: TaskTable) -> None:
        await table.add(new(1), new(2, max_attempts=1, callback_url="https://example.com/"), new(3), new(4))
        await table.claim(3)
        await table.tasks.cancel([task_id(3)], NOW)

    there = await both.moved(fill)
    assert [await there.status(task_id(number)) for number in (1, 2, 3, 4)] == ["queued", "dead", "cancelled", "queued"]
    assert [await there.told(task_id(number)) for number in (1, 2)] == [
        ["queued", "running", "queued"], ["queued", "running", "dead"],
    ]  # fmt: skip
    assert ids(await there.tasks.callbacks(10)) == numbers(2)
    assert {(task.id, task.attempt) for task in await there.claim()} == {(task_id(1), 2), (task_id(4), 1)}
    assert {(one.status.value, one.count) for one in await there.tasks.counts()} == {
        ("running", 2), ("dead", 1), ("cancelled", 1),
    }  # fmt: skip


async def test_a_lease_from_before_ends_nothing_and_its_number_is_not_given_again(both: Both) -> None:
    old: list[Task] = []

    async def fill(table: TaskTable) -> None:
        await table.add(*(new(number) for number in range(1, 8)))
        old.extend(await table.claim(7))

    there = await both.moved(fill)
    assert await there.end(old[0]) is None
    assert min(task.lease for task in await there.claim()) > max(task.lease for task in old)


async def test_idempotency_keys_hold_for_tasks_that_wait_and_that_have_ended(both: Both) -> None:
    async def fill(table: TaskTable) -> None:
        await table.in_state(Status.SUCCEEDED, new(1, idempotency_key="done", fingerprint=b"one"))
        await table.add(new(2, idempotency_key="waits", fingerprint=b"two"))

    there = await both.moved(fill)
    sent = [new(3, idempotency_key="done"), new(4, idempotency_key="waits"), new(5, BOB, idempotency_key="done")]
    again = await there.tasks.add(sent, NOW)
    assert [(one.id, one.is_new) for one in again] == [
        (task_id(1), False), (task_id(2), False), (task_id(5), True),
    ]  # fmt: skip
    assert [one.fingerprint for one in again[:2]] == [b"one", b"two"]


async def test_of_a_concurrency_key_one_runs_at_a_time(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_task_move, "_PAGE", sqlite_task_move._PAGE.replace("LIMIT 5000", "LIMIT 2"))

    async def fill(table: TaskTable) -> None:
        await table.add(*(new(number, concurrency_key="k") for number in range(1, 6)), new(9, concurrency_key="other"))
        await table.claim(1)

    there = await both.moved(fill)
    done: list[int] = []
    while tasks := await there.claim():
        keyed = [task for task in tasks if task.concurrency_key == "k"]
        assert len(keyed) <= 1
        for task in tasks:
            done.append(task.id)
            await there.end(task)
    assert sorted(done) == numbers(1, 2, 3, 4, 5, 9)


async def test_what_waits_is_claimed_by_priority_and_fairly(both: Both) -> None:
    async def fill(table: TaskTable) -> None:
        await table.add(new(1), new(2, priority=9), new(3), new(4, owner=BOB))

    there = await both.moved(fill)
    tasks = await there.claim(2)
    assert {task.owner: task.id for task in tasks} == {ADA: task_id(2), BOB: task_id(4)}
    assert ids(await there.claim()) == numbers(1, 3)


async def test_queues_and_schedules_come_as_they_were_set(both: Both) -> None:
    full = schedule(1, jitter=2.5, catch_up=CatchUp.ALL, last_at=NOW, last_task=task_id(5))

    async def fill(table: TaskTable) -> None:
        await table.schedules.create(full)
        await table.schedules.create(schedule(2, enabled=False))
        await table.tasks.change_queue("shut", QueueChanges(paused=True, concurrency=2, rate_limit=0.5))
        await table.add(new(1, queue="shut"), new(2))

    there = await both.moved(fill)
    assert list(await there.schedules.list()) == [full, schedule(2, enabled=False)]
    assert await there.schedules.next_at() == full.next_at
    queues = {queue.name: queue for queue in await there.tasks.queues()}
    wanted = TaskQueue("shut", True, 2, 0.5, queued=1, oldest=new(1).created_at)
    assert queues["shut"] == wanted
    assert ids(await there.claim()) == numbers(2)


async def test_what_was_not_forwarded_yet_is_under_the_ids_it_had(both: Both) -> None:
    async def fill(table: TaskTable) -> None:
        for number in range(1, 4):
            await table.add(new(number), new(10 + number))
        await table.tasks.forwarded([entry.seq for entry in await table.tasks.journal(1)])

    there = await both.moved(fill)
    here = await both.here()
    assert [(one.time, one.count, one.first_id, one.lines) for one in await there.tasks.journal(10)] == [
        (one.time, one.count, one.first_id, one.lines) for one in await here.tasks.journal(10)
    ]
    assert len(await there.tasks.journal(10)) == 2


async def test_an_outcome_whose_callback_is_not_seen_to_still_has_one(both: Both) -> None:
    async def fill(table: TaskTable) -> None:
        for number in (1, 2):
            await table.in_state(Status.SUCCEEDED, new(number, callback_url="https://example.com/"))
        await table.tasks.called_back([task_id(1)])

    there = await both.moved(fill)
    assert ids(await there.tasks.callbacks(10)) == numbers(2)


async def test_words_are_found_in_args_results_and_errors(both: Both) -> None:
    async def fill(table: TaskTable) -> None:
        task = await table.claimed(new(1, args=b'{"to":"Zebra"}'))
        await table.end(task, result=b'{"colour":"Green"}')
        task = await table.claimed(new(2))
        await table.end(task, Ending.FAILED, error="Purple smoke")

    there = await both.moved(fill)
    assert [await there.find(q=(word,)) for word in ("zebra", "green", "purple")] == [
        numbers(1), numbers(1), numbers(2),
    ]  # fmt: skip


async def test_history_lies_in_days_that_go_as_a_whole(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.adapters.postgres.task_move._WORTH_ONE", 3)

    async def fill(table: TaskTable) -> None:
        for number in range(1, 4):
            await table.in_state(Status.SUCCEEDED, new(number, idempotency_key=f"k{number}"))

    there = await both.moved(fill)
    assert await there.tasks.purge(NOW + 3 * 24 * 3600 * SECOND) == 3
    assert list(await there.tasks.counts()) == []


async def test_a_move_goes_on_behind_the_page_it_had_reached(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_task_move, "_PAGE", sqlite_task_move._PAGE.replace("LIMIT 5000", "LIMIT 3"))
    await both.fill(one_of_each)
    write, pages = PostgresMoveTasks.write, list[TaskPage]()

    async def cut_off(self: PostgresMoveTasks, page: TaskPage) -> None:
        if pages:
            raise ConnectionError
        pages.append(page)
        await write(self, page)

    monkeypatch.setattr(PostgresMoveTasks, "write", cut_off)
    with pytest.raises(ConnectionError):
        await both.move()
    early = await both.there()
    assert await early.claim() == [], "a server that is started too early begins nothing"
    monkeypatch.setattr(PostgresMoveTasks, "write", write)
    for _ in range(2):
        here, there = await both.move()
        assert here == there
    table, source = await both.there(), await both.here()
    assert await everything(table) == await everything(source)
    assert list(await table.tasks.counts()) == list(await source.tasks.counts())


async def test_two_copies_at_once_do_not_both_go_on(both: Both) -> None:
    await both.fill(one_of_each)
    here = await SqliteMoveTasks.open(both.folder / "tasks.db")
    there = await PostgresMoveTasks.open(both.url, MemoryClock(NOW))
    reached = await there.begin("a", await here.settings())
    (page,) = [page async for page in here.pages(reached[TaskPart.TASKS])]
    await there.write(page)
    with pytest.raises(Conflict, match="Another copy"):
        await there.write(page)
    await there.close()
    await here.close()


async def test_a_task_table_with_other_tasks_is_refused(both: Both) -> None:
    table = await both.there()
    await table.add(new(1))
    await both.fill(one_of_each)
    with pytest.raises(Conflict, match="empty database"):
        await both.move()
    assert await table.find() == numbers(1)


async def test_the_file_and_its_log_stay_as_they_are(both: Both) -> None:
    table = await both.here()
    await one_of_each(table)
    await table.close()
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in both.folder.iterdir()}
    await both.move()
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in both.folder.iterdir()} == before


async def test_a_data_directory_from_before_tasks_has_none(both: Both) -> None:
    here, there = await both.move()
    assert here == there == TaskTotals()


async def test_a_file_that_is_no_task_table_is_said(both: Both) -> None:
    (both.folder / "tasks.db").write_bytes(b"x" * 5_000)
    with pytest.raises(Unusable, match="no task table"):
        await both.move()


async def test_pages_are_short_in_bytes(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_task_move, "_BYTES", 2_000)
    await both.fill(lambda table: table.add(*(new(number, args=b"x" * 900) for number in range(10))))
    here = await SqliteMoveTasks.open(both.folder / "tasks.db")
    pages = [page async for page in here.pages(0)]
    await here.close()
    assert [len(page.tasks) for page in pages] == [3, 3, 3, 1]
    assert [page.after for page in pages] == [0, *(page.upto for page in pages[:-1])]


async def test_what_is_under_way_there_goes_on_after_a_wait(both: Both) -> None:
    """Nothing of the lanes' floors or of leases keeps a moved task from being claimed twice or never."""
    there = await both.moved(lambda table: table.add(*(new(number) for number in range(1, 301))))
    first = [task.id for _ in range(3) for task in await there.claim(100)]
    assert sorted(first) == [task_id(number) for number in range(1, 301)]
    assert (await there.tasks.sweep(NOW + GONE)).expired == 300
    assert len(await there.claim(300, now=NOW + GONE)) == 300
