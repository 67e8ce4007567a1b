"""The task table: the truth about every task. Whoever runs tasks asks it, and tells it what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
)
from headrace.model.task_journal import Entry, Line


class Tasks(Protocol):
    """Each method that changes something is one durable transaction, and puts each new status of a task into the
    journal in that same transaction (see model/task_journal). `now` is µs since 1970 and decides what is due.

    A lease holds while the task is running, has this number and `leased_until` lies ahead or nobody has ended it yet.

    Raises Unavailable when the store cannot be reached or the disk is full, and OutcomeUnknown (of it) when the change
    may have been made: `add` of tasks with the same ids, and all others, can be repeated.
    """

    async def add(self, tasks: Sequence[NewTask], now: int) -> Sequence[Added]:
        """All of them, in their order, whatever their number. A task whose id is there already is not added again.

        One with an idempotency key that a task of the same owner has (or one before it in `tasks`) is not added.
        """

    async def claim(self, wanted: Wanted, now: int) -> Sequence[Task]:
        """Queued tasks, now running under a new lease, `attempt` counted up; highest priority first within an owner.

        Fair between owners: whoever was not served longest comes first, and the number of tasks that an owner has
        waiting makes no difference. Left out: paused queues, what passes a queue's concurrency or rate limit, tasks
        whose concurrency key has one running. Costs the same however many tasks wait.
        """

    async def beat(self, beats: Sequence[Beat], seconds: float, now: int) -> Sequence[Heard]:
        """Each lease that holds lasts until `now` + `seconds`. In the order of `beats`."""

    async def finish(self, outcomes: Sequence[Outcome], now: int) -> Sequence[Task | None]:
        """Ends attempts; the tasks as they are then, in the order of `outcomes`, None where the lease does not hold.
        A task that was asked to stop is cancelled rather than queued or scheduled again."""

    async def sweep(self, now: int, patience: int = 0) -> Swept:
        """Queues scheduled tasks that are due. Ends leases that ran out: the task is queued again at once, is dead if
        its attempts are used up, or cancelled if it was asked to stop. Ends, as cancelled, running tasks that were
        asked to stop more than 30 s ago and that still beat. No lease lasts longer than MAX_LEASE_SECONDS from `now`:
        one that would was given while a clock was ahead. `patience`: µs for which a lease that ran out is left alone.
        """

    async def free(self, holder: str, now: int) -> int:
        """Ends the leases of a holder that is gone as if they had run out; how many."""

    @property
    def news(self) -> int:
        """Goes up when a task may have become claimable. A word from another process may be late, or lost."""

    async def wait(self, seconds: float, seen: int | None = None) -> None:
        """Returns after so many seconds, or once `news` is another than `seen` (than now)."""

    async def get(self, id: int) -> Task | None:
        """The task, if there is one."""

    async def find(
        self, filter: TaskFilter, *, limit: int, before: int | None = None, offset: int = 0
    ) -> Sequence[Task]:
        """The newest first, by id; those with an id below `before`. Each part of a filter is served by an index."""

    async def change(self, id: int, changes: TaskChanges, now: int) -> Task | None:
        """The task as it is then; None if there is none. Raises Conflict unless it is scheduled or queued. A `run_at`
        that lies ahead makes it scheduled, else it is queued."""

    async def cancel(self, ids: Sequence[int], now: int) -> Sequence[Task | None]:
        """Scheduled and queued tasks are cancelled, running ones asked to stop, finished ones left alone. In the order
        of `ids`, each as it is then."""

    async def retry(self, ids: Sequence[int], now: int) -> Sequence[Task | None]:
        """Those that are RETRIABLE are queued again with `attempt` 0 and without result, error and times; others are
        left alone. In the order of `ids`, each as it is then."""

    async def delete(self, id: int) -> bool:
        """Whether there was one. Raises Conflict while it is unfinished."""

    async def purge(self, before: int) -> int:
        """Deletes for good some of the tasks that finished before this time; how many (0: no more)."""

    async def queues(self, owner: str | None = None) -> Sequence[TaskQueue]:
        """Every queue that has or had tasks or settings, by name; counts are of `owner`'s tasks, or of all."""

    async def change_queue(self, name: str, changes: QueueChanges) -> TaskQueue:
        """Its new state; a queue that nobody used before is made."""

    async def counts(self, owner: str | None = None) -> Sequence[TaskCount]:
        """How many there are, by type and status; zeros are left out."""

    async def callbacks(self, limit: int) -> Sequence[Task]:
        """Finished tasks with a `callback_url` that nobody has seen to yet."""

    async def called_back(self, ids: Sequence[int]) -> None:
        """These have been seen to."""

    async def log(self, lines: Sequence[Line]) -> None:
        """Into the journal: what handlers logged."""

    async def journal(self, limit: int) -> Sequence[Entry]:
        """Entries that were not forwarded yet, the oldest first. Another process may be given them as well."""

    async def forwarded(self, seqs: Sequence[int]) -> None:
        """These entries are where they belong, and can go."""
