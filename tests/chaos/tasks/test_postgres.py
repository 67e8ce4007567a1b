"""The same on PostgreSQL: `serve` and `work` share the table, and all of it may be killed, the database too."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.outages import KillAll, KillDatabase, KillProcess, LoseAnswers, Outage
from tests.chaos.tasks.plants import POSTGRES_TASK_BUGS
from tests.chaos.tasks.run import run_tasks_site
from tests.chaos.tasks.test_kills import clean, new_seed
from tests.support.postgres import Cluster

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    safe = Cluster(safe=True).create()
    try:
        yield safe.start()
    finally:
        safe.close()


def one_by_one(*faults: Outage) -> Callable[[random.Random], Outage]:
    order = iter(faults)
    return lambda _: next(order)


FAULTS = (
    KillProcess(1, seconds=0.3),
    KillDatabase("SIGKILL", 1.0),
    LoseAnswers("any", 4),
    KillDatabase("immediate stop", 0.5),
    KillAll(0.3),
)


async def test_each_acknowledged_task_succeeds_once_on_postgresql_whatever_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    report = await run_tasks_site(
        tmp_path, tasks=300, cycles=len(FAULTS), seed=new_seed(), fault=one_by_one(*FAULTS), cluster=cluster
    )
    assert report.history.acknowledged > 200
    assert clean(report)


CATCHES = {
    "postgres-submit-ack-before-commit": KillProcess(0, seconds=0.3),
    "postgres-claim-twice": KillProcess(1, seconds=1.0),
    "postgres-sweep-ends-live-leases": KillProcess(1, seconds=2.0),
}


@pytest.mark.parametrize("bug", CATCHES)
async def test_the_checker_finds_a_planted_bug_of_tasks_on_postgresql(
    cluster: Cluster, tmp_path: Path, bug: str
) -> None:
    assert bug in POSTGRES_TASK_BUGS
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        report = await run_tasks_site(
            folder, tasks=150, cycles=1, seed=new_seed(), env={"HEADRACE_PLANT": f"{bug},short-leases"},
            fault=one_by_one(CATCHES[bug]), cluster=cluster, workers=1,
        )  # fmt: skip
        print(report)
        if report.violations:
            return
    pytest.fail(f"{bug} was not found")
