"""Where the suites of the control data and of the event store run: one entry for each engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from headrace.adapters.memory.clock import MemoryClock
from headrace.adapters.postgres.events import PostgresEvents, PostgresOptions
from headrace.adapters.postgres.tasks import PostgresTasks
from headrace.adapters.sql.database import ControlDatabase
from headrace.adapters.sql.migrate import migrate
from tests.contract.batches import NOON
from tests.contract.stores import STORES, Opener
from tests.contract.task_tables import NOW, TASK_TABLES, TaskTable
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import Cluster


@pytest.fixture(scope="session")
def control_template(postgres: Cluster) -> str:
    """The name of a database with empty control tables, which is copied faster than they are made.

    Where it can, it sorts text as English dictionaries do: what must be in the order of the bytes shows here.
    """
    name = "control_template"
    icu = postgres.sql("SELECT 1 FROM pg_collation WHERE collprovider = 'i' LIMIT 1")
    english = " TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'" if icu else ""
    postgres.sql(f"CREATE DATABASE {name}{english}")
    asyncio.run(migrate(postgres.url(name)))
    return name


def _sqlite(request: pytest.FixtureRequest) -> Iterator[str]:
    folder: Path = request.getfixturevalue("tmp_path")
    yield f"sqlite:///{folder}/control.db"


def _postgres(request: pytest.FixtureRequest) -> Iterator[str]:
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.create_database(template=request.getfixturevalue("control_template"))
    yield url
    cluster.drop_database(url)


ENGINES: dict[str, Callable[[pytest.FixtureRequest], Iterator[str]]] = {"sqlite": _sqlite, "postgres": _postgres}
"""The URL of a control database of the test's own, by engine."""


@pytest.fixture(params=ENGINES)
def control_url(request: pytest.FixtureRequest) -> Iterator[str]:
    yield from ENGINES[request.param](request)


@pytest.fixture
async def control(control_url: str) -> AsyncIterator[ControlDatabase]:
    database = await ControlDatabase.open(control_url)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def events_template(postgres: Cluster) -> str:
    """The name of a database with an empty event store."""
    name = "events_template"
    postgres.sql(f"CREATE DATABASE {name}")

    async def make() -> None:
        await (await PostgresEvents.open(PostgresOptions(postgres.url(name)), MemoryClock(NOON))).close()

    asyncio.run(make())
    return name


@pytest.fixture(params=STORES)
def opener(request: pytest.FixtureRequest) -> Opener:
    """Opens an event store."""
    return STORES[request.param](request)


@pytest.fixture(params=TASK_TABLES)
def task_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def tasks_template(postgres: Cluster) -> str:
    """The name of a database with an empty task table, which is copied faster than it is made."""
    name = "tasks_template"
    postgres.sql(f"CREATE DATABASE {name}")

    async def make() -> None:
        tasks = await PostgresTasks.open(postgres.url(name), MemoryClock(NOW))
        await tasks.sweep(NOW)  # makes the day's partition
        await tasks.close()

    asyncio.run(make())
    return name


@pytest.fixture(scope="session")
def tasks_pooler(postgres: Cluster) -> Iterator[PgBouncer]:
    made = PgBouncer(postgres, size=4)
    yield made.start()
    made.close()


@pytest.fixture
def task_place(request: pytest.FixtureRequest, task_kind: str, tmp_path: Path) -> Iterator[str]:
    """Where a task table of the test's own is made: opened there again, it is the same one."""
    if not task_kind.startswith("postgres"):
        yield str(tmp_path)
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    url = cluster.create_database(template=request.getfixturevalue("tasks_template"))
    pooled = task_kind == "postgres-pooled"
    yield request.getfixturevalue("tasks_pooler").url(url) if pooled else url
    cluster.drop_database(url)


@pytest.fixture
async def table(task_kind: str, task_place: str) -> AsyncIterator[TaskTable]:
    opened = await TASK_TABLES[task_kind](task_place)
    yield opened
    await opened.close()
