"""Moves everything from one profile to another, in an order in which nothing can be half true.

Events come first, then what the store remembers, dead letters, the queue and tasks; control data last, in the
transaction that says that the move is finished. So a database whose move was cut off has no buckets and no keys: a
server started on it too early is noticed, and the move goes on only where everything is as it left it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from headrace.errors import Conflict
from headrace.kit.read_ahead import read_ahead
from headrace.model.block import Block
from headrace.model.move import Memory
from headrace.operations.task_move import TaskMove
from headrace.ports.clock import Clock
from headrace.ports.dead_letters import DeadLetters
from headrace.ports.move import ControlFrom, ControlInto, EventsFrom, EventsInto, QueueFrom, QueueInto, Watcher
from headrace.ports.task_move import TasksFrom, TasksInto

_LETTERS = 100  # at once: each may have a few hundred KiB
_REMEMBERED = {Memory.BLOCKS: "stored blocks", Memory.IDS: "ids of clients"}
_CHANGED = "The data has changed since the copy began: begin again with an empty database."


@dataclass(frozen=True, slots=True)
class From:
    """Where the data is. `secret` seals what the control data hold; None where it is set for all servers."""

    control: ControlFrom
    events: EventsFrom
    queue: QueueFrom
    dead_letters: DeadLetters
    tasks: TasksFrom
    secret: str | None


@dataclass(frozen=True, slots=True)
class Into:
    """Where it goes."""

    control: ControlInto
    events: EventsInto
    queue: QueueInto
    dead_letters: DeadLetters
    tasks: TasksInto


@dataclass(frozen=True, slots=True)
class Line:
    """One thing, counted on both sides."""

    name: str
    here: int
    there: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """`finished_before`: when an earlier run did it all (µs), and this one nothing."""

    lines: tuple[Line, ...] = ()
    finished_before: int | None = None


class Move:
    """`run` as often as it takes: it goes on where it was, and does nothing once it is finished."""

    def __init__(self, here: From, there: Into, clock: Clock, watcher: Watcher) -> None:
        self._here = here
        self._there = there
        self._watcher = watcher
        self._tasks = TaskMove(here.tasks, there.tasks, clock, watcher)

    async def run(self) -> Outcome:
        """Raises Conflict where the other side has data that this move did not bring, Unusable where there is nothing
        to move, and Unavailable: run it again then."""
        source = await self._here.control.source()
        if (finished := await self._there.control.finished_at(source)) is not None:
            return Outcome(finished_before=finished)
        for into in (self._there.control, self._there.events, self._there.queue, self._there.tasks):
            await into.look(source)
        events = await self._events(source)
        await self._there.queue.begin(source)
        letters = await self._dead_letters()
        blocks = await self._blocks()
        tasks = await self._about_tasks(source)
        same = (*events, letters, blocks, *tasks)
        _check(same)
        return Outcome((*same, *await self._control(source)))

    async def _events(self, source: str) -> tuple[Line, ...]:
        here, there, watcher = self._here.events, self._there.events, self._watcher
        watcher.stage("events", None)
        counts = await here.counts()
        reached = await there.begin(source, counts.days)
        watcher.stage("events", sum(counts.buckets.values()), sum((await there.counts()).values()))
        if reached["events"] > counts.last_seq:
            raise Conflict(_CHANGED)
        async with aclosing(read_ahead(here.pages(reached["events"]))) as pages:
            async for page in pages:
                await there.write(page)
                watcher.advance(len(page.seqs))
        for memory in Memory:
            watcher.stage(_REMEMBERED[memory], None)
            async with aclosing(read_ahead(here.remembered(memory, reached[memory]))) as all_of_it:
                async for remembered in all_of_it:
                    await there.remember(memory, remembered)
                    watcher.advance(sum(entry.length for entry in remembered.entries))
        await there.finish(counts.last_seq)
        return (_line("events", counts.buckets, await there.counts()),)

    async def _dead_letters(self) -> Line:
        here, there = self._here.dead_letters, self._there.dead_letters
        total = await here.count()
        self._watcher.stage("dead letters", total)
        after: int | None = None
        while letters := await here.list(after=after, limit=_LETTERS):
            await there.add(letters)
            self._watcher.advance(len(letters))
            after = letters[-1].id
        return Line("dead letters", total, await there.count())

    async def _blocks(self) -> Line:
        total = await self._here.queue.count()
        self._watcher.stage("blocks in the queue", total)
        await self._there.queue.replace(self._counted(self._here.queue.pages()))
        return Line("blocks in the queue", total, await self._there.queue.count())

    async def _counted(self, pages: AsyncIterator[Sequence[Block]]) -> AsyncIterator[Sequence[Block]]:
        async for page in pages:
            yield page
            self._watcher.advance(len(page))

    async def _about_tasks(self, source: str) -> tuple[Line, ...]:
        here, there = await self._tasks.run(source)
        return (
            Line("tasks", here.tasks, there.tasks),
            Line("schedules", here.schedules, there.schedules),
            Line("changes of tasks", here.changes, there.changes),
        )

    async def _control(self, source: str) -> list[Line]:
        here, there = self._here.control, self._there.control
        counts = await here.counts()
        self._watcher.stage("control data", None)
        await there.finish(source, here.pages(), await here.highest(), self._here.secret)
        found = await there.counts()
        return [Line(name.replace("_", " "), count, found[name]) for name, count in counts.items() if count]


def _line(name: str, here: Mapping[int, int], there: Mapping[int, int]) -> Line:
    """Raises Conflict where the sums are the same, and their parts are not."""
    line = Line(name, sum(here.values()), sum(there.values()))
    if line.here == line.there and {**here} != {**there}:
        raise Conflict(_CHANGED)
    return line


def _check(lines: Sequence[Line]) -> None:
    for line in lines:
        if line.here != line.there:
            raise Conflict(f"{line.name}: {line.here} here, {line.there} in the database. {_CHANGED}")
