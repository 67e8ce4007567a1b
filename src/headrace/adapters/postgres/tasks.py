"""The task table in PostgreSQL. Any number of processes share it; what one call changes is one function inside the
server, and one round trip.

Where what lies and why: `_task_tables`. The functions: `_task_adding`, `_task_claiming`, `_task_ending`,
`_task_sweeping`, `_task_changing`, with what they share in `_task_readying`. Plain statements: `_task_statements`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from uuid import uuid4

from headrace.adapters.postgres import _task_changing as changing
from headrace.adapters.postgres import _task_rows as rows
from headrace.adapters.postgres._task_adding import ADD
from headrace.adapters.postgres._task_arrays import byteas, int2s, int8s, texts, uuids
from headrace.adapters.postgres._task_claiming import CLAIM
from headrace.adapters.postgres._task_ending import BEAT, FINISH, FINISHED
from headrace.adapters.postgres._task_find import find
from headrace.adapters.postgres._task_journal import PostgresJournal
from headrace.adapters.postgres._task_partitions import Partitions
from headrace.adapters.postgres._task_queues import PostgresQueues
from headrace.adapters.postgres._task_retention import purge
from headrace.adapters.postgres._task_sweeping import FREE, SWEEP, TIDY
from headrace.adapters.postgres._task_tables import LAYOUT
from headrace.adapters.postgres._task_word import Word
from headrace.adapters.postgres.database import BreakerOptions, Database
from headrace.adapters.postgres.faults import committing, reading
from headrace.adapters.postgres.layout import prepare
from headrace.errors import Conflict, OutcomeUnknown
from headrace.kit.failpoint import reach
from headrace.model.bucket import UNSET
from headrace.model.task import (
    Added,
    Beat,
    Ending,
    Heard,
    NewTask,
    Outcome,
    Swept,
    Task,
    TaskChanges,
    TaskFilter,
    Wanted,
)
from headrace.ports.clock import Clock

CONNECTIONS = 6  # adding, claiming, finishing, beating, and two of: a list, the journal, NOTIFY
_SECONDS = 15.0
_TIDY_SECONDS = 10.0
_MOST_UNKNOWN = 100_000
_ENDINGS = {ending: number for number, ending in enumerate(Ending)}
assert list(Ending) == [Ending.SUCCEEDED, Ending.FAILED, Ending.RETRY, Ending.CANCELLED, Ending.RELEASED]


class PostgresTasks(PostgresQueues, PostgresJournal):
    """`ports.tasks.Tasks` in the database of a URL, with a pool of its own."""

    def __init__(self, database: Database, clock: Clock, listen_url: str) -> None:
        self.database = database
        self._monotonic = clock.monotonic
        self._tidy_at = clock.monotonic() + _TIDY_SECONDS
        self._partitions = Partitions()
        self.word = Word(database, listen_url, str(uuid4()))
        self._unknown: set[tuple[int, int]] = set()

    @classmethod
    async def open(
        cls,
        url: str,
        clock: Clock,
        *,
        direct_url: str = "",
        options: BreakerOptions | None = None,
        migrate: bool = True,
    ) -> PostgresTasks:
        """`direct_url` leads past a pooler, to be woken by NOTIFY. Raises Unusable, NewerFormat and Unavailable."""
        database = Database(url, clock, name="the tasks' database", size=CONNECTIONS, options=options)
        tasks = cls(database, clock, direct_url or url)
        await database.open()
        try:
            await prepare(database, LAYOUT, migrate=migrate)
        except BaseException:
            await database.close()
            raise
        tasks.word.start()
        return tasks

    async def close(self) -> None:
        """Let go of the connections."""
        await self.word.close()
        await self.database.close()

    # --- adding, claiming, ending ------------------------------------------------------------------------------------

    async def add(self, tasks: Sequence[NewTask], now: int) -> Sequence[Added]:
        """See the port. One round trip."""
        if not tasks:
            return []
        await self._ensure_partitions(now)
        firsts = {task.id: task for task in reversed(tasks)}
        sent = list({task.id: task for task in tasks}) if len(firsts) < len(tasks) else None
        new = tasks if sent is None else [firsts[one] for one in sent]
        there = added_before(await self.run(ADD, rows.added(new, now), "tasks.add"))
        self.word.tell()
        return answers(tasks, there)

    async def claim(self, wanted: Wanted, now: int) -> Sequence[Task]:
        """See the port. One round trip."""
        if wanted.limit <= 0 or wanted.types == frozenset():
            return []
        types = None if wanted.types is None else sorted(wanted.types)
        kind = sha256(repr((wanted.queue, types)).encode()).hexdigest()[:32]
        until = now + round(wanted.seconds * 1e6)
        values = (
            wanted.queue, None if types is None else texts(types), wanted.owner, kind, wanted.limit, wanted.holder,
            until,
            now,
        )  # fmt: skip
        return [rows.task_of(row) for row in await self.run(CLAIM, values, "tasks.claim")]

    async def beat(self, beats: Sequence[Beat], seconds: float, now: int) -> Sequence[Heard]:
        """See the port."""
        if not beats:
            return []
        until = now + round(seconds * 1e6)
        values = (
            uuids([beat.id for beat in beats]), int8s([beat.lease for beat in beats]),
            byteas([beat.progress for beat in beats]), until,
        )  # fmt: skip
        found = await self.run(BEAT, values)
        held = {(int.from_bytes(task_id), lease): cancelling for task_id, lease, cancelling in found}
        return [
            Heard(beat.id, True, held[beat.id, beat.lease], until) if (beat.id, beat.lease) in held
            else Heard(beat.id, False)
            for beat in beats
        ]  # fmt: skip

    async def finish(self, outcomes: Sequence[Outcome], now: int) -> Sequence[Task | None]:
        """See the port. Whoever repeats an outcome since the first answer was lost hears what it brought about."""
        firsts = {outcome.id: outcome for outcome in reversed(outcomes)}
        if not firsts:
            return []
        await self._ensure_partitions(now)
        try:
            found = await self._finish([firsts[one] for one in sorted(firsts)], now)
        except OutcomeUnknown:
            self._remember(firsts.values())
            raise
        if self._unknown:
            found |= await self._finished_before([one for one in firsts.values() if one.id not in found])
        if any(task.concurrency_key is not None or task.finished_at is None for task in found.values()):
            self.word.tell()
        return [found.pop(outcome.id, None) if firsts[outcome.id] is outcome else None for outcome in outcomes]

    async def _finish(self, outcomes: Sequence[Outcome], now: int) -> dict[int, Task]:
        values = (
            now, uuids([one.id for one in outcomes]), int8s([one.lease for one in outcomes]),
            int2s([_ENDINGS[one.ending] for one in outcomes]), byteas([one.result for one in outcomes]),
            texts([None if one.error is None else rows.stored_text(one.error) for one in outcomes]),
            int8s([one.retry_at for one in outcomes]), texts([rows.said(one) for one in outcomes]),
        )  # fmt: skip
        tasks = map(rows.task_of, await self.run(FINISH, values, "tasks.finish"))
        return {task.id: task for task in tasks}

    def _remember(self, outcomes: Iterable[Outcome]) -> None:
        """Whether they were noted is unknown, and whoever sent them will ask again."""
        if len(self._unknown) > _MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown.update((outcome.id, outcome.lease) for outcome in outcomes)

    async def _finished_before(self, outcomes: Sequence[Outcome]) -> dict[int, Task]:
        """What came of those whose first answer was lost."""
        outcomes = [one for one in outcomes if (one.id, one.lease) in self._unknown]
        self._unknown.difference_update((one.id, one.lease) for one in outcomes)
        if not outcomes:
            return {}
        values = (
            uuids([one.id for one in outcomes]), int8s([one.lease for one in outcomes]),
            int2s([_ENDINGS[one.ending] for one in outcomes]),
        )  # fmt: skip
        tasks = map(rows.task_of, await self.ask(FINISHED, values))
        return {task.id: task for task in tasks}

    async def sweep(self, now: int, patience: int = 0) -> Swept:
        """See the port. One round trip, and now and then another one to tidy up."""
        await self._ensure_partitions(now)
        ((due, expired, ended, next_at, more),) = await self.run(SWEEP, (now, patience))
        let_go = 0
        if self._monotonic() >= self._tidy_at:
            self._tidy_at = self._monotonic() + _TIDY_SECONDS
            ((let_go,),) = await self.run(TIDY, ())
        if due or expired or ended or let_go:
            self.word.tell()
        return Swept(due, expired, tuple(map(int.from_bytes, ended)), next_at, more)

    async def free(self, holder: str, now: int) -> int:
        """See the port."""
        await self._ensure_partitions(now)
        ((freed,),) = await self.run(FREE, (holder, now))
        if freed:
            self.word.tell()
        return int(freed)

    @property
    def news(self) -> int:
        """See the port."""
        return self.word.count

    async def wait(self, seconds: float, seen: int | None = None) -> None:
        """See the port."""
        await self.word.wait(seconds, seen)

    # --- reading and changing ----------------------------------------------------------------------------------------

    async def get(self, id: int) -> Task | None:
        """See the port."""
        return (await self._get([id]))[0]

    async def find(
        self, filter: TaskFilter, *, limit: int, before: int | None = None, offset: int = 0
    ) -> Sequence[Task]:
        """See the port."""
        statement = find(filter, limit, before, offset)
        if statement is None:
            return []
        return [rows.task_of(row) for row in await self.ask(*statement)]

    async def change(self, id: int, changes: TaskChanges, now: int) -> Task | None:
        """See the port."""
        old = await self.get(id)
        if old is None:
            return None
        args = None if changes.args is UNSET else changes.args
        values = (
            now, rows.uuid(id), args, None if args is None else rows.words_of(old.type, args),
            None if changes.priority is UNSET else changes.priority, changes.run_at is not UNSET,
            None if changes.run_at is UNSET else changes.run_at,
        )  # fmt: skip
        ((said,),) = await self.run(changing.CHANGE, values)
        if said is None:
            return None
        if said != "changed":
            raise Conflict(f"the task {said}, and can be changed only while it waits")
        self.word.tell()
        return await self.get(id)

    async def cancel(self, ids: Sequence[int], now: int) -> Sequence[Task | None]:
        """See the port."""
        return await self._change_all(changing.CANCEL, ids, now)

    async def retry(self, ids: Sequence[int], now: int) -> Sequence[Task | None]:
        """See the port."""
        return await self._change_all(changing.RETRY_AGAIN, ids, now)

    async def delete(self, id: int) -> bool:
        """See the port."""
        ((gone,),) = await self.run(changing.DELETE, (rows.uuid(id),))
        if gone is None:
            raise Conflict("the task has not ended: cancel it first")
        return bool(gone)

    async def purge(self, before: int) -> int:
        """See the port. Whole days where it can."""
        with self.database.breaker.watch(), committing(self.database.name):
            async with self.database.connection(_SECONDS) as connection:
                return await purge(connection, before)

    async def _change_all(self, statement: str, ids: Sequence[int], now: int) -> Sequence[Task | None]:
        if not ids:
            return []
        await self._ensure_partitions(now)
        await self.run(statement, (now, uuids(sorted(set(ids)))))
        self.word.tell()
        return await self._get(ids)

    async def _get(self, ids: Sequence[int]) -> Sequence[Task | None]:
        found = map(rows.task_of, await self.ask(changing.GET, {"ids": uuids(set(ids))}))
        tasks = {task.id: task for task in found}
        return [tasks.get(one) for one in ids]

    # --- the server --------------------------------------------------------------------------------------------------

    async def run(self, statement: str, values: rows.Values, point: str = "") -> rows.Rows:
        """A statement that changes something, and commits itself. Raises Unavailable or OutcomeUnknown."""
        with self.database.breaker.watch(), committing(self.database.name):
            async with self.database.connection(_SECONDS) as connection:
                reach(f"{point}.before_commit")
                found = await rows.fetch(connection, statement, values)
                reach(f"{point}.after_commit")
                return found

    async def ask(self, statement: str, values: rows.Values) -> rows.Rows:
        """A statement that only reads. Raises Unavailable."""
        with self.database.breaker.watch(), reading(self.database.name):
            async with self.database.connection(_SECONDS) as connection:
                return await rows.fetch(connection, statement, values)

    async def _ensure_partitions(self, now: int) -> None:
        """Days of the history, before something may end."""
        if self._partitions.lacks(now):
            with self.database.breaker.watch(), reading(self.database.name):
                async with self.database.connection(_SECONDS) as connection:
                    await self._partitions.ensure(connection, now)


def added_before(found: rows.Rows) -> dict[int, tuple[int, bytes | None]]:
    """Of the answer of `headrace_tasks_add`."""
    return {int.from_bytes(given): (int.from_bytes(there), mark) for given, there, mark in found}


def answers(tasks: Sequence[NewTask], there: Mapping[int, tuple[int, bytes | None]]) -> Sequence[Added]:
    """In the order of `tasks`: the first of an id is new unless it is `there`."""
    seen: set[int] = set()
    made = []
    for task in tasks:
        first, fingerprint = there.get(task.id, (task.id, None))
        is_new = task.id not in there and task.id not in seen
        seen.add(task.id)
        made.append(Added(first, is_new, task.fingerprint if fingerprint is None else fingerprint))
    return made
