"""The embedded task table: one SQLite file through apsw, written by one thread, read beside it.

Calls that wait are committed together, with one fsync. The rooms behind this door: `_task_writer` has the thread,
`_task_store` the file and its faults, `_task_book` what a change is written with, `_task_lanes` whose turn it is;
`_task_adding`, `_task_claiming`, `_task_ending` and `_task_editing` are the changes, `_task_finding` the lists.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from headrace.adapters.sqlite import _task_reads as reads
from headrace.adapters.sqlite._task_adding import add
from headrace.adapters.sqlite._task_book import Book
from headrace.adapters.sqlite._task_claiming import claim
from headrace.adapters.sqlite._task_editing import (
    called_back,
    cancel,
    change,
    change_queue,
    delete,
    forwarded,
    purge,
    retry,
)  # fmt: skip
from headrace.adapters.sqlite._task_ending import beat, finish, free, sweep
from headrace.adapters.sqlite._task_finding import find
from headrace.adapters.sqlite._task_readers import Readers
from headrace.adapters.sqlite._task_store import TaskStore
from headrace.adapters.sqlite._task_writer import TaskWriter
from headrace.errors import Unavailable
from headrace.kit.news import News
from headrace.model.task import (
    Added,
    Beat,
    Heard,
    NewTask,
    Outcome,
    QueueChanges,
    Swept,
    Task,
    TaskChanges,
    TaskCount,
    TaskFilter,
    TaskQueue,
    Wanted,
)  # fmt: skip
from headrace.model.task_journal import Entry, Line


class SqliteTasks:
    """`ports.tasks.Tasks` in the file `path`, and `ports.snapshot.Snapshot` of it."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._name = path.name
        self._word = News()
        self.readers = Readers(path, vfs)
        self.writer = TaskWriter(TaskStore(path, self.readers, vfs), asyncio.get_running_loop(), self._word.tell)
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *, vfs: str | None = None) -> SqliteTasks:
        """Open or create the table. `vfs` names a VFS of apsw (tests inject faults).

        Raises Unusable for a file that is not ours, is damaged or in use, NewerFormat, and Unavailable.
        """
        tasks = cls(path, vfs)
        try:
            await tasks.writer.open()
        except BaseException:
            await tasks.close()
            raise
        return tasks

    async def add(self, tasks: Sequence[NewTask], now: int) -> Sequence[Added]:
        """See the port."""
        return await self.writer.change(add, tasks, now)

    async def claim(self, wanted: Wanted, now: int) -> Sequence[Task]:
        """See the port."""
        return await self.writer.change(claim, wanted, now)

    async def beat(self, beats: Sequence[Beat], seconds: float, now: int) -> Sequence[Heard]:
        """See the port."""
        return await self.writer.change(beat, beats, seconds, now)

    async def finish(self, outcomes: Sequence[Outcome], now: int) -> Sequence[Task | None]:
        """See the port."""
        return await self.writer.change(finish, outcomes, now)

    async def sweep(self, now: int, patience: int = 0) -> Swept:
        """See the port. At most 1,000 changes of each kind."""
        return await self.writer.change(sweep, now, patience)

    async def free(self, holder: str, now: int) -> int:
        """See the port."""
        return await self.writer.change(free, holder, now)

    @property
    def news(self) -> int:
        """See the port."""
        return self._word.count

    async def wait(self, seconds: float, seen: int | None = None) -> None:
        """See the port."""
        if not self._closed:
            await self._word.wait(seconds, seen)

    async def get(self, id: int) -> Task | None:
        """See the port."""
        return await self.readers.run(reads.get, id)

    async def find(
        self, filter: TaskFilter, *, limit: int, before: int | None = None, offset: int = 0
    ) -> Sequence[Task]:
        """See the port."""
        return await self.readers.run(find, filter, limit, before, offset)

    async def change(self, id: int, changes: TaskChanges, now: int) -> Task | None:
        """See the port."""
        return await self.writer.change(change, id, changes, now)

    async def cancel(self, ids: Sequence[int], now: int) -> Sequence[Task | None]:
        """See the port."""
        return await self.writer.change(cancel, ids, now)

    async def retry(self, ids: Sequence[int], now: int) -> Sequence[Task | None]:
        """See the port."""
        return await self.writer.change(retry, ids, now)

    async def delete(self, id: int) -> bool:
        """See the port."""
        return await self.writer.change(delete, id)

    async def purge(self, before: int) -> int:
        """See the port."""
        return await self.writer.change(purge, before)

    async def queues(self, owner: str | None = None) -> Sequence[TaskQueue]:
        """See the port."""
        return await self.readers.run(reads.queues, owner)

    async def change_queue(self, name: str, changes: QueueChanges) -> TaskQueue:
        """See the port."""
        await self.writer.change(change_queue, name, changes)
        (queue,) = await self.readers.run(reads.queues, None, name)
        return queue

    async def counts(self, owner: str | None = None) -> Sequence[TaskCount]:
        """See the port."""
        return await self.readers.run(reads.counts, owner)

    async def callbacks(self, limit: int) -> Sequence[Task]:
        """See the port."""
        return await self.readers.run(reads.callbacks, limit)

    async def called_back(self, ids: Sequence[int]) -> None:
        """See the port."""
        await self.writer.change(called_back, ids)

    async def log(self, lines: Sequence[Line]) -> None:
        """See the port."""
        await self.writer.change(Book.log, lines)

    async def journal(self, limit: int) -> Sequence[Entry]:
        """See the port."""
        return await self.readers.run(reads.journal, limit)

    async def forwarded(self, seqs: Sequence[int]) -> None:
        """See the port."""
        await self.writer.change(forwarded, seqs)

    async def backup(self, directory: str) -> None:
        """Write the table into one file in `directory`, named as ours, while changes go on. Raises Unavailable."""
        if self._closed:
            raise Unavailable("the task table is closed")
        await self.writer.backup(Path(directory) / self._name)

    async def close(self) -> None:
        """Let go of the file; calls that wait are finished before."""
        if not self._closed:
            self._closed = True
            self._word.tell()
            await self.writer.close()
