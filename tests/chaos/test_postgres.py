"""The faults of the PostgreSQL profile, short enough for every run of the checks; `./dev chaos --profile postgres` goes
on for as long as one likes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.outages import (
    KillAll,
    KillDatabase,
    KillProcess,
    LoseAnswers,
    LoseNetwork,
    Outage,
    PauseDatabase,
    ResetConnections,
    SlowNetwork,
)
from tests.chaos.plants import POSTGRES_BUGS
from tests.chaos.run import Report, run_site
from tests.support.postgres import Cluster

pytestmark = pytest.mark.chaos

QUICK = {"module": "tests.chaos.planted", "env": {"HEADRACE_PLANT": "short-leases"}}


def new_seed() -> int:
    """Printed by every report, so that `--seed` repeats it."""
    return random.SystemRandom().randrange(2**32)


def clean(report: Report) -> bool:
    print(report)
    return not report.violations


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """With fsync on, for tests that leave it alone or well."""
    safe = Cluster(safe=True).create()
    try:
        yield safe.start()
    finally:
        safe.close()


def one_by_one(*faults: Outage) -> Callable[[random.Random], Outage]:
    order = iter(faults)
    return lambda _: next(order)


SERIES: dict[str, tuple[int, tuple[Outage, ...]]] = {
    "processes": (
        1,
        (
            KillDatabase("SIGKILL", 1.0),
            KillProcess(1, point="queue.after_commit:30"),
            KillProcess(2, point="drain.after_write:2"),
            KillDatabase("immediate stop", 0.3),
            KillAll(0.2),
        ),
    ),
    "network": (
        0,
        (
            LoseAnswers("queue", 3),
            ResetConnections(3),
            LoseAnswers("store", 2),
            LoseNetwork("refused", 1.0),
            SlowNetwork("slow", 1.0),
            LoseNetwork("black hole", 1.0),
            SlowNetwork("trickle", 1.0),
            LoseAnswers("any", 6),
            PauseDatabase(9.0),
        ),
    ),
}
"""How many workers beside two servers, and what is done to all of it."""


@pytest.mark.parametrize("series", SERIES)
async def test_faults_under_load_lose_nothing_double_nothing_and_are_over_soon(
    cluster: Cluster, tmp_path: Path, series: str
) -> None:
    workers, faults = SERIES[series]
    report = await run_site(
        tmp_path, cycles=len(faults), seed=new_seed(), fault=one_by_one(*faults), cluster=cluster, workers=workers,
        pause=0.03, **QUICK,
    )  # fmt: skip
    assert report.history.acknowledged > 100
    assert clean(report)


CATCHES: dict[str, Outage] = {
    "postgres-ack-before-commit": KillProcess(0, seconds=0.2),
    "queue-ack-before-store": KillProcess(0, seconds=0.4),
    "postgres-no-dedup": LoseAnswers("queue", 4),
    "postgres-no-block-dedup": LoseAnswers("store", 2),
}
"""Which fault usually shows each bug."""


@pytest.mark.parametrize("bug", POSTGRES_BUGS)
async def test_the_checker_finds_a_planted_bug_on_postgresql(cluster: Cluster, tmp_path: Path, bug: str) -> None:
    env = {"HEADRACE_PLANT": f"{bug},short-leases"}
    for attempt in range(4):  # a bug that needs a certain moment need not show at the first fault
        folder = tmp_path / str(attempt)
        folder.mkdir()
        fault = one_by_one(CATCHES[bug])
        report = await run_site(
            folder, cycles=1, seed=new_seed(), fault=fault, cluster=cluster, servers=1, pause=0.02,
            module="tests.chaos.planted", env=env,
        )  # fmt: skip
        print(report)
        if report.violations:
            return
    pytest.fail(f"{bug} was not found")
