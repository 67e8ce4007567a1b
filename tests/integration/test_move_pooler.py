"""A move through a real PgBouncer in transaction mode, which gives each transaction any connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, date, datetime

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.postgres.database import Database
from headrace.adapters.postgres.guarantee import guarantee_of
from headrace.adapters.postgres.move import PostgresMoveEvents, PostgresMoveQueue
from headrace.adapters.postgres.task_move import PostgresMoveTasks
from headrace.adapters.sql.move import SqlMoveInto
from headrace.kit.ids import uuid7
from headrace.model.block import Block
from headrace.model.move import EventPage, Memory, Remembered, RememberedPage, TablePage
from headrace.model.task import Status, Task, TaskQueue
from headrace.model.task_move import MovedTask, TaskPage, TaskSettings
from tests.contract.batches import NOON, batch_of, event
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster

TODAY: date = datetime.fromtimestamp(NOON / 1e6, UTC).date()


@pytest.fixture
def pooled_url(postgres: Cluster, postgres_url: str) -> Iterator[str]:
    pooler = PgBouncer(postgres, size=1)
    try:
        yield pooler.start().url(postgres_url)
    finally:
        pooler.close()


async def test_every_part_moves_through_a_pooler(pooled_url: str) -> None:
    clock = MemoryClock(NOON)
    events = await PostgresMoveEvents.open(pooled_url, clock)
    await events.begin("a", {TODAY: 5_000})
    await events.write(EventPage(0, [1, 3], batch_of(event(), event(message="two"))))
    await events.remember(Memory.IDS, RememberedPage(NOON, [Remembered(1, uuid7(NOON), 30_000, NOON)]))
    await events.finish(9)
    assert await events.counts() == {1: 2}
    await events.close()

    queue = await PostgresMoveQueue.open(pooled_url, clock)
    await queue.begin("a")
    await queue.replace(_pages([Block(uuid7(NOON), b"x", 1)]))
    assert await queue.count() == 1
    await queue.close()

    tasks = await PostgresMoveTasks.open(pooled_url, clock)
    settings = TaskSettings([TaskQueue("default")], last_lease=7)
    await tasks.begin("a", settings)
    task = Task(uuid7(NOON), "add", "ada", NOON, Status.QUEUED, b"{}", "default", 5, 0, 5)
    await tasks.write(TaskPage(0, 1, [MovedTask(task)]))
    await tasks.finish(settings)
    assert (await tasks.totals()).tasks == 1
    await tasks.close()

    control = await SqlMoveInto.open(pooled_url, clock)
    await control.finish("a", _nothing(), {"buckets": 3}, "s" * 43)
    assert await control.finished_at("a") is not None
    await control.close()


async def test_the_guarantee_is_asked_through_a_pooler(pooled_url: str) -> None:
    database = Database(pooled_url, MemoryClock(NOON), name="the queue", size=1)
    await database.open()
    try:
        told = await guarantee_of(database)
        assert (told.durable, told.sentence[:12]) == (False, "NOT durable:"), "this one runs without fsync"
    finally:
        await database.close()


async def _pages(*pages: list[Block]) -> AsyncIterator[Sequence[Block]]:
    for page in pages:
        yield page


async def _nothing() -> AsyncIterator[TablePage]:
    return
    yield
