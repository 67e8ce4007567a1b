"""What only the task table on PostgreSQL can show: many at once, old snapshots, faults, days dropped as a whole."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import psycopg
import pytest

from headrace.adapters.postgres._task_claiming import CLAIM
from headrace.adapters.postgres.database import BreakerOptions
from headrace.adapters.postgres.tasks import PostgresTasks
from headrace.adapters.system.clock import SystemClock
from headrace.errors import Conflict, OutcomeUnknown, Unavailable
from headrace.kit.ids import uuid7
from headrace.kit.times import DAY, SECOND
from headrace.model.task import (
    FINISHED,
    Beat,
    Ending,
    NewTask,
    Outcome,
    QueueChanges,
    Status,
    Task,
    TaskChanges,
    TaskFilter,
    Wanted,
)
from tests.support.postgres import Cluster
from tests.support.tcp_proxy import TcpProxy

EVER = BreakerOptions(failures=1_000_000)


def now() -> int:
    return time.time_ns() // 1000


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresTasks]:
    tasks = await PostgresTasks.open(url, SystemClock(), options=EVER)
    try:
        yield tasks
    finally:
        await tasks.close()


def some(count: int, **fields: object) -> list[NewTask]:
    first = uuid7(now())
    values = {"type": "add", "owner": "ada", **fields}
    return [NewTask(first + at, created_at=now(), **values) for at in range(count)]  # type: ignore[arg-type]


# --- several processes at once ---------------------------------------------------------------------------------------


class Ledger:
    """Who holds what, as the workers see it: a task that two hold at once is a failure, whatever the table says."""

    def __init__(self) -> None:
        self.held: dict[int, int] = {}
        self.ended: Counter[int] = Counter()
        self.done = False
        self.most: Counter[str] = Counter()
        self.keys: Counter[str | None] = Counter()

    def took(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            assert task.id not in self.held
            self.held[task.id] = task.lease
            if task.concurrency_key is not None:
                self.keys[task.concurrency_key] += 1
                assert self.keys[task.concurrency_key] == 1
            self.most[task.queue] += 1
            assert task.queue != "narrow" or self.most["narrow"] <= 5

    def leaves(self, task: Task) -> None:
        del self.held[task.id]
        self.most[task.queue] -= 1
        if task.concurrency_key is not None:
            self.keys[task.concurrency_key] -= 1


async def _work(tasks: PostgresTasks, ledger: Ledger, seed: int) -> None:
    chance = random.Random(seed)
    while not ledger.done:
        claimed = await tasks.claim(Wanted(f"w{seed}", chance.randint(1, 40), 60), now())
        ledger.took(claimed)
        if not claimed:
            await asyncio.sleep(0.01)
            continue
        await tasks.beat([Beat(task.id, task.lease) for task in claimed], 60, now())
        for task in claimed:  # before the answer: from the commit on another may have what we let go
            ledger.leaves(task)
        outcomes = [_outcome(task, chance) for task in claimed]
        for ended in await tasks.finish(outcomes, now()):
            assert ended is not None
            ledger.ended[ended.id] += ended.finished_at is not None


def _outcome(task: Task, chance: random.Random) -> Outcome:
    ending = chance.choices([Ending.SUCCEEDED, Ending.FAILED, Ending.RETRY, Ending.RELEASED], [80, 5, 10, 5])[0]
    return Outcome(task.id, task.lease, ending, retry_at=now() + chance.randint(-1, 1) * 50_000)


async def _meddle(tasks: PostgresTasks, ledger: Ledger, ids: list[int], seed: int) -> None:
    chance = random.Random(seed)
    while not ledger.done:
        await tasks.sweep(now())
        for chosen in chance.sample(ids, 5):
            changes = chance.choice([TaskChanges(priority=chance.randint(0, 9)), TaskChanges(run_at=now() + 20_000)])
            with suppress(Conflict):
                await tasks.change(chosen, changes, now())
        await tasks.cancel(chance.sample(ids, 3), now())
        counts = await tasks.counts()
        ledger.done = sum(one.count for one in counts if one.status in FINISHED) == len(ids)
        await asyncio.sleep(0.005)


def _mixed(count: int, owner: str) -> list[NewTask]:
    tasks = some(count, owner=owner)
    queues = ["default", "default", "narrow", "mail"]
    return [
        NewTask(
            task.id, f"t{at % 3}", owner, task.created_at, queue=queues[at % 4], priority=at % 10, max_attempts=50,
            concurrency_key=f"{owner}{at % 7}" if at % 5 == 0 else None,
        )
        for at, task in enumerate(tasks)
    ]  # fmt: skip


async def test_many_at_once_lose_nothing_and_run_nothing_under_two_leases(postgres: Cluster, postgres_url: str) -> None:
    ledger = Ledger()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(opened(postgres_url)) for _ in range(4)]
        await clients[0].change_queue("narrow", QueueChanges(concurrency=5))
        sent = [_mixed(150, f"owner{at}") for at in range(8)]
        ids = [task.id for part in sent for task in part]
        async with asyncio.timeout(120):
            adding = [clients[at % 4].add(part, now()) for at, part in enumerate(sent)]
            working = [_work(clients[at % 4], ledger, at) for at in range(6)]
            meddling = [_meddle(clients[at % 4], ledger, ids, 100 + at) for at in range(2)]
            await asyncio.gather(*adding, *working, *meddling)
        assert max(ledger.ended.values()) == 1
        ended = await clients[0].find(TaskFilter(statuses=tuple(FINISHED)), limit=2 * len(ids))
        assert sorted(task.id for task in ended) == sorted(ids)
        by_workers = {task.id for task in ended if task.status is not Status.CANCELLED}
        # One that was asked to stop while it ran, and was then to be tried again, was ended by its worker as cancelled.
        assert by_workers <= {task_id for task_id, times in ledger.ended.items() if times}
        assert not ledger.held
        assert {queue.queued + queue.running + queue.scheduled for queue in await clients[0].queues()} == {0}
        assert sum(one.count for one in await clients[0].counts()) == len(ids)
    assert "deadlock" not in (postgres.folder / "log").read_text(errors="replace")


async def test_cancels_and_claims_at_once_end_each_task_once(postgres_url: str) -> None:
    async with opened(postgres_url) as one, opened(postgres_url) as other:
        sent = some(400, concurrency_key=None)
        await one.add(sent, now())

        async def cancel() -> None:
            for at in range(0, 400, 20):
                await other.cancel([task.id for task in sent[at : at + 20]], now())

        async def work() -> None:
            while claimed := await one.claim(Wanted("here", 16, 60), now()):
                await one.finish([Outcome(task.id, task.lease, Ending.SUCCEEDED) for task in claimed], now())

        await asyncio.gather(cancel(), work(), work())
        await one.sweep(now() + 31 * SECOND)
        counts = {count.status: count.count for count in await one.counts()}
        assert sum(counts.values()) == 400
        assert set(counts) <= {Status.SUCCEEDED, Status.CANCELLED}
        assert len({task.id for task in await one.find(TaskFilter(), limit=1000)}) == 400


async def test_a_task_that_comes_late_is_not_passed_over(postgres_url: str) -> None:
    """The floor of a lane never passes a transaction that began to add before others, and ends after them."""
    async with opened(postgres_url) as tasks:
        late, early = some(5), some(5)
        with psycopg.connect(postgres_url) as slow:
            slow.execute("SELECT pg_current_xact_id()")
            await tasks.add(early, now())
            assert len(await tasks.claim(Wanted("here", 100, 60), now())) == 5
            slow.execute(
                "INSERT INTO tasks (id, created_at, lane, rank, max_attempts, priority, state, type, owner, queue,"
                " args, search) SELECT gen_random_uuid(), 1, lane, pg_current_xact_id()::text::bigint, 5, 5, 1, 'add',"
                " 'ada', 'default', '{}', '' FROM task_lanes"
            )
            slow.execute("INSERT INTO task_ready SELECT lane, rank, id FROM tasks WHERE created_at = 1")
            await tasks.add(late, now())
            assert len(await tasks.claim(Wanted("here", 100, 60), now())) == 5
        assert len(await tasks.claim(Wanted("here", 100, 60), now())) == 1


async def test_empty_lanes_go_and_those_in_use_stay(postgres_url: str) -> None:
    async with opened(postgres_url) as tasks:
        await tasks.add(some(3, owner="ada"), now())
        await tasks.claim(Wanted("here", 100, 60, owner="ada"), now())
        await tasks.add(some(3, owner="bob"), now())
        await tasks.run("SELECT headrace_tasks_tidy()", ())
        with psycopg.connect(postgres_url) as connection:
            assert connection.execute("SELECT owner FROM task_lanes").fetchall() == [("bob",)]
        await tasks.add(some(2, owner="ada"), now())
        assert len(await tasks.claim(Wanted("here", 100, 60), now())) == 5


# --- what a claim reads ----------------------------------------------------------------------------------------------


async def test_a_claim_reads_no_more_after_thousands_of_claims_that_an_old_snapshot_keeps(postgres_url: str) -> None:
    async with opened(postgres_url) as tasks:
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute("ALTER TABLE task_ready SET (autovacuum_enabled = off)")
            for _ in range(8):
                await tasks.add(some(1000), now())
            with psycopg.connect(postgres_url) as old:
                old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                old.execute("SELECT count(*) FROM tasks")
                first = [await _pages_read(tasks, 1) for _ in range(10)]
                for _ in range(115):
                    assert len(await tasks.claim(Wanted("here", 64, 60), now())) == 64
                last = [await _pages_read(tasks, 1) for _ in range(10)]
    assert min(last) <= 1.5 * min(first)


async def test_a_claim_reads_no_more_where_thousands_of_owners_wait(postgres_url: str) -> None:
    async with opened(postgres_url) as tasks:
        read = []
        for owners in (50, 3000):
            first = uuid7(now())
            sent = [NewTask(first + at, "add", f"o{at % owners:04}", now()) for at in range(max(owners, 500))]
            await tasks.add(sent, now())
            await _pages_read(tasks)
            read.append(await _pages_read(tasks))
        assert read[1] <= 2 * read[0], "sixty times the owners"


async def _pages_read(tasks: PostgresTasks, limit: int = 64) -> int:
    """By a claim of so many."""
    values = (None, None, None, "any", limit, "here", now() + 60 * SECOND, now())
    ((plan,),) = await tasks.ask(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIM}", values)
    root = plan[0]["Plan"]
    assert root["Actual Rows"] == limit
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])


# --- faults ----------------------------------------------------------------------------------------------------------


async def test_an_answer_that_is_lost_is_an_unknown_outcome_and_a_repeat_changes_nothing(
    postgres: Cluster, postgres_url: str
) -> None:
    sent = some(3)
    with TcpProxy(postgres.port) as proxy:
        async with opened(postgres_url.replace(f":{postgres.port}/", f":{proxy.port}/")) as tasks:
            await tasks.sweep(now())
            proxy.reset_after_commit(lambda text: "headrace_tasks_add" in text, 1)
            with pytest.raises(OutcomeUnknown):
                await tasks.add(sent, now())
            assert [one.is_new for one in await tasks.add(sent, now())] == [False] * 3
            claimed = await tasks.claim(Wanted("here", 10, 60), now())
            endings = [Ending.SUCCEEDED, Ending.FAILED, Ending.RETRY]
            outcomes = [
                Outcome(task.id, task.lease, ending, retry_at=now() + DAY)
                for task, ending in zip(claimed, endings, strict=True)
            ]
            proxy.reset_after_commit(lambda text: "headrace_tasks_finish(" in text, 1)
            with pytest.raises(OutcomeUnknown):
                await tasks.finish(outcomes, now())
            ended = await tasks.finish(outcomes, now())
            assert [task and task.status for task in ended] == [Status.SUCCEEDED, Status.FAILED, Status.SCHEDULED]
            told = sum(entry.count for entry in await tasks.journal(100))
            assert told == 3 + 3 + 3
            assert proxy.commits_cut == 2


async def test_a_server_that_is_away_is_unavailable_and_the_next_call_works(postgres_url: str) -> None:
    async with opened(postgres_url) as tasks:
        await tasks.add(some(1), now())
        with psycopg.connect(postgres_url, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        with pytest.raises(Unavailable):
            await tasks.get(1)
        assert len(await tasks.claim(Wanted("here", 10, 60), now())) == 1


async def test_what_is_committed_waits_for_the_disk_whatever_the_servers_default(
    postgres: Cluster, postgres_url: str
) -> None:
    name = postgres_url.rsplit("/", 1)[1]
    postgres.sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    async with opened(postgres_url) as tasks, tasks.database.changing(10) as connection, connection.transaction():
        await connection.execute("SELECT headrace_tasks_sweep(1, 0)")
        found = await connection.execute("SELECT current_setting('synchronous_commit')")
        assert await found.fetchone() == ("on",)


# --- retention -------------------------------------------------------------------------------------------------------


async def test_a_day_that_is_past_goes_as_a_whole(postgres_url: str) -> None:
    async with opened(postgres_url) as tasks:
        long_ago = now() - 40 * DAY
        first = uuid7(long_ago)
        await tasks.add(
            [NewTask(first + at, "add", "ada", long_ago, idempotency_key=f"k{at}") for at in range(50)], long_ago
        )
        claimed = await tasks.claim(Wanted("here", 100, 60), long_ago)
        await tasks.finish([Outcome(task.id, task.lease, Ending.SUCCEEDED) for task in claimed], long_ago)
        await tasks.add(some(1), now())
        with psycopg.connect(postgres_url) as connection:
            days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'task_history'::regclass"
            before = connection.execute(days).fetchall()
            connection.rollback()
            assert await tasks.purge(now() - 30 * DAY) == 50
            assert await tasks.purge(now() - 30 * DAY) == 0
            assert connection.execute(days).fetchall()[0][0] == before[0][0] - 2  # tomorrow's of then was empty
            assert connection.execute("SELECT count(*) FROM task_keys").fetchall() == [(0,)]
        assert sum(one.count for one in await tasks.counts()) == 1


async def test_a_task_whose_day_is_gone_can_still_end(postgres_url: str) -> None:
    async with opened(postgres_url) as tasks:
        long_ago = now() - 40 * DAY
        await tasks.add([NewTask(uuid7(long_ago), "add", "ada", long_ago)], long_ago)
        assert await tasks.purge(now() - 30 * DAY) == 0
        (task,) = await tasks.claim(Wanted("here", 1, 60), now())
        (ended,) = await tasks.finish([Outcome(task.id, task.lease, Ending.SUCCEEDED, b"1")], now())
        assert ended == await tasks.get(task.id)
