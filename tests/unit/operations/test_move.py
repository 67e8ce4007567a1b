"""What a move decides: its order, when it goes on, and when it refuses."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.memory.dead_letters import MemoryDeadLetters
from headrace.errors import Conflict
from headrace.kit.times import to_datetime
from headrace.model.block import Block, DeadLetter
from headrace.model.event import EventBatch
from headrace.model.move import EventCounts, EventPage, Memory, Remembered, RememberedPage, TablePage
from headrace.model.task import Status, Task
from headrace.model.task_journal import Entry
from headrace.model.task_move import JournalPage, MovedTask, TaskPage, TaskSettings, TaskTotals
from headrace.operations.move import From, Into, Move
from headrace.operations.task_move import freed
from headrace.ports.task_move import TaskPart

NOW = 1_800_000_000_000_000
TODAY = date(2026, 11, 20)


def page(after: int, *seqs: int) -> EventPage:
    return EventPage(after, seqs, EventBatch(bucket_id=array("q", [1] * len(seqs)), time=[to_datetime(0)] * len(seqs)))


@dataclass
class Here:
    """All parts of the side that data comes from."""

    events: list[EventPage] = field(default_factory=lambda: [page(0, 1, 2), page(2, 3)])
    blocks: list[Block] = field(default_factory=lambda: [Block(1, b"x", 1)])
    last_seq: int = 3

    async def source(self) -> str:
        return "a"

    async def highest(self) -> Mapping[str, int]:
        return {"buckets": 7}


class EventsHere(Here):
    async def counts(self) -> EventCounts:
        count = sum(len(one.seqs) for one in self.events)
        return EventCounts(self.last_seq, {1: count}, {TODAY: count})

    async def pages(self, after: int) -> AsyncIterator[EventPage]:
        for one in self.events:
            if one.after >= after:
                yield one

    async def remembered(self, memory: Memory, after: int) -> AsyncIterator[RememberedPage]:
        if after < 5:
            yield RememberedPage(5, [Remembered(1, 9, 1, 5)])


class QueueHere(Here):
    async def count(self) -> int:
        return len(self.blocks)

    async def pages(self) -> AsyncIterator[Sequence[Block]]:
        yield self.blocks


class ControlHere(Here):
    async def counts(self) -> Mapping[str, int]:
        return {"buckets": 2, "users": 0}

    async def pages(self) -> AsyncIterator[TablePage]:
        yield TablePage("buckets", [{"id": 1}, {"id": 2}])


@dataclass
class There:
    """One part of the other side, and what was done to it, in order, by all of them."""

    done: list[str]
    refuses: bool = False
    reached: int = 0
    finished: int | None = None
    stored: int = 0
    blocks: list[Block] = field(default_factory=list)

    async def look(self, source: str) -> None:
        if self.refuses:
            raise Conflict("give an empty database")


class EventsThere(There):
    async def begin(self, source: str, days: Mapping[date, int]) -> Mapping[str, int]:
        self.done.append(f"days {len(days)}")
        return {"events": self.reached, Memory.BLOCKS: 0, Memory.IDS: 5}

    async def write(self, page: EventPage) -> None:
        self.stored += len(page.seqs)
        self.done.append(f"events {page.upto}")

    async def remember(self, memory: Memory, page: RememberedPage) -> None:
        self.done.append(memory)

    async def finish(self, last_seq: int) -> None:
        self.done.append(f"position {last_seq}")

    async def counts(self) -> Mapping[int, int]:
        return {1: self.stored}


class QueueThere(There):
    async def begin(self, source: str) -> None:
        self.done.append("queue")

    async def replace(self, pages: AsyncIterator[Sequence[Block]]) -> None:
        self.blocks = [block async for page in pages for block in page]

    async def count(self) -> int:
        return len(self.blocks)


class ControlThere(There):
    async def finished_at(self, source: str) -> int | None:
        return self.finished

    async def finish(
        self, source: str, pages: AsyncIterator[TablePage], highest: Mapping[str, int], secret: str | None
    ) -> None:
        self.stored = sum([len(page.rows) async for page in pages])
        self.done.append(f"control {highest['buckets']} {secret}")

    async def counts(self) -> Mapping[str, int]:
        return {"buckets": self.stored, "users": 0}


def moved(number: int, status: Status, **fields: Any) -> MovedTask:
    return MovedTask(Task(number, "add", "ada", 1, status, b"{}", "default", 5, 1, **{"max_attempts": 5, **fields}))


class TasksHere(Here):
    async def totals(self) -> TaskTotals:
        return TaskTotals(tasks=2, running=1, schedules=3, changes=4)

    async def settings(self) -> TaskSettings:
        return TaskSettings(last_lease=9)

    async def journal(self, after: int) -> AsyncIterator[JournalPage]:
        if after < 1:
            yield JournalPage(0, [Entry(1, 1, 4, 1, b"")])

    async def pages(self, after: int) -> AsyncIterator[TaskPage]:
        if after < 2:
            yield TaskPage(0, 2, [moved(1, Status.SUCCEEDED), moved(2, Status.RUNNING)])


class TasksThere(There):
    changes = 0

    async def begin(self, source: str, settings: TaskSettings) -> Mapping[TaskPart, int]:
        return {TaskPart.JOURNAL: 0, TaskPart.TASKS: 0}

    async def add_journal(self, page: JournalPage) -> None:
        self.done.append("journal")
        self.changes += sum(entry.count for entry in page.entries)

    async def write(self, page: TaskPage) -> None:
        self.done.append("tasks " + " ".join(one.task.status for one in page.tasks))
        self.stored += len(page.tasks)
        self.changes += page.entry.count if page.entry else 0

    async def finish(self, settings: TaskSettings) -> None:
        self.done.append(f"lease {settings.last_lease}")

    async def totals(self) -> TaskTotals:
        return TaskTotals(tasks=self.stored, schedules=3, changes=self.changes)


class Silent:
    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        pass

    def advance(self, count: int) -> None:
        pass


@dataclass
class World:
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events, self.queue, self.control = EventsHere(), QueueHere(), ControlHere()
        self.letters, self.letters_there = MemoryDeadLetters(), MemoryDeadLetters()
        self.events_there, self.queue_there = EventsThere(self.done), QueueThere(self.done)
        self.control_there = ControlThere(self.done)
        self.tasks, self.tasks_there = TasksHere(), TasksThere(self.done)

    def move(self) -> Move:
        here = From(self.control, self.events, self.queue, self.letters, self.tasks, "secret")
        there = Into(self.control_there, self.events_there, self.queue_there, self.letters_there, self.tasks_there)
        return Move(here, there, MemoryClock(NOW), Silent())


@pytest.fixture
def world() -> World:
    return World()


async def test_control_data_come_last_and_everything_is_counted_on_both_sides(world: World) -> None:
    await world.letters.add([DeadLetter(number, 1, "why", 1, b"x") for number in range(250)])
    outcome = await world.move().run()
    assert world.done == [
        "days 1", "events 2", "events 3", Memory.BLOCKS, "position 3", "queue", "journal",
        "tasks succeeded queued", "lease 9", "control 7 secret",
    ]  # fmt: skip
    assert [(line.name, line.here, line.there) for line in outcome.lines] == [
        ("events", 3, 3), ("dead letters", 250, 250), ("blocks in the queue", 1, 1), ("tasks", 2, 2),
        ("schedules", 3, 3), ("changes of tasks", 5, 5), ("buckets", 2, 2),
    ]  # fmt: skip


async def test_it_goes_on_behind_what_was_reached(world: World) -> None:
    world.events_there.reached = world.events_there.stored = 2
    await world.move().run()
    assert world.done[:2] == ["days 1", "events 3"]


async def test_a_finished_move_touches_nothing(world: World) -> None:
    world.control_there.finished = 42
    world.events_there.refuses = True
    assert (await world.move().run()).finished_before == 42
    assert world.done == []


@pytest.mark.parametrize("part", ["control_there", "events_there", "queue_there", "tasks_there"])
async def test_nothing_is_begun_while_one_part_has_other_data(world: World, part: str) -> None:
    getattr(world, part).refuses = True
    with pytest.raises(Conflict, match="empty database"):
        await world.move().run()
    assert world.done == []


async def test_what_was_deleted_here_since_it_began_is_noticed(world: World) -> None:
    world.events_there.reached, world.events_there.stored = 2, 4
    with pytest.raises(Conflict, match=r"events: 3 here, 5 in the database.*begin again"):
        await world.move().run()
    assert "control 7 secret" not in world.done


async def test_older_data_than_what_was_copied_are_noticed(world: World) -> None:
    world.events_there.reached = 4
    with pytest.raises(Conflict, match="begin again"):
        await world.move().run()


async def test_tasks_that_are_missing_there_are_noticed(world: World) -> None:
    world.tasks_there.stored = -1
    with pytest.raises(Conflict, match=r"tasks: 2 here, 1 in the database.*begin again"):
        await world.move().run()
    assert "control 7 secret" not in world.done


@pytest.mark.parametrize(
    ("fields", "status", "call_back"),
    [
        ({}, Status.QUEUED, False),
        ({"max_attempts": 1, "callback_url": "https://example.com/"}, Status.DEAD, True),
        ({"cancelling": True}, Status.CANCELLED, False),
    ],
)
def test_a_running_task_is_freed_as_when_its_worker_is_gone(
    fields: Mapping[str, Any], status: Status, call_back: bool
) -> None:
    (one,) = freed(TaskPage(0, 1, [moved(1, Status.RUNNING, leased_until=NOW, **fields)]), NOW).tasks
    ended = status is not Status.QUEUED
    assert (one.task.status, one.task.attempt, one.call_back) == (status, 1, call_back)
    assert (one.task.finished_at, one.task.leased_until, one.task.cancelling) == (NOW if ended else None, None, False)


def test_a_page_without_running_tasks_is_left_alone() -> None:
    page = TaskPage(0, 1, [moved(1, Status.QUEUED)])
    assert freed(page, NOW) is page
