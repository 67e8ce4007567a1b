"""Kills of what runs tasks, short enough for every run of the checks; `./dev chaos --tasks 20000` goes on for as long
as one likes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.run import Report
from tests.chaos.tasks.faults import Kill, choose
from tests.chaos.tasks.plants import TASK_BUGS
from tests.chaos.tasks.run import run_tasks

pytestmark = pytest.mark.chaos

Choice = Callable[[random.Random], Kill]


def new_seed() -> int:
    """Printed by every report, so that `--seed` repeats it."""
    return random.SystemRandom().randrange(2**32)


def clean(report: Report) -> bool:
    print(report)
    return not report.violations


def one_by_one(*kills: Kill) -> Choice:
    order = iter(kills)
    return lambda _: next(order)


SERIES: dict[str, tuple[int, Choice, str]] = {
    "nothing": (4, one_by_one(
        Kill("child", 0.1), Kill("family", 0.3), Kill("itself", 0.2), Kill(point="tasks.before_commit:60"),
    ), ""),
    "tasks-fsync-fails": (2, choose, "is opened anew"),
    "tasks-write-fails": (2, choose, "is opened anew"),
}  # fmt: skip
"""How many kills with which fault planted besides, and what the server's log then says."""


@pytest.mark.parametrize("plant", SERIES)
async def test_each_acknowledged_task_succeeds_once_whatever_is_killed(tmp_path: Path, plant: str) -> None:
    cycles, fault, sign = SERIES[plant]
    module, env = ("headrace", {}) if "nothing" in plant else ("tests.chaos.planted", {"HEADRACE_PLANT": plant})
    report = await run_tasks(tmp_path, tasks=300, cycles=cycles, seed=new_seed(), module=module, env=env, fault=fault)
    assert report.history.acknowledged > 150
    assert clean(report)
    assert sign in (tmp_path / "data.log").read_text()  # the planted fault did strike


CATCHES = {
    "submit-ack-before-commit": Kill(seconds=0.3),
    "claim-twice": Kill("child", 0.5),
}
"""Which kill usually shows each bug; the others have tests in `test_leases` and `test_schedules`."""


@pytest.mark.parametrize("bug", CATCHES)
async def test_the_checker_finds_a_planted_bug_of_tasks(tmp_path: Path, bug: str) -> None:
    assert bug in TASK_BUGS
    for attempt in range(4):  # a bug that needs a certain moment need not show at the first kill
        folder = tmp_path / str(attempt)
        folder.mkdir()
        report = await run_tasks(
            folder, tasks=150, cycles=1, seed=new_seed(), module="tests.chaos.planted", env={"HEADRACE_PLANT": bug},
            fault=one_by_one(CATCHES[bug]),
        )  # fmt: skip
        print(report)
        if report.violations:
            return
    pytest.fail(f"{bug} was not found")
