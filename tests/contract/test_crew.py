"""What every crew promises: each task that it was given ends once, and its reports say how; and what child processes
promise beyond that: whatever a handler does to its process, only its own task bears it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from headrace.adapters.house.crew import HouseCrew
from headrace.adapters.processes.crew import Crewing, ProcessCrew
from headrace.adapters.system.clock import SystemClock
from headrace.errors import NotFound, Unavailable
from headrace.kit.ids import format_id
from headrace.model.task import Ending, Status, Task
from headrace.ports.crew import Attempt, Crew, Ended, Logged, Progress, Report

_numbers = itertools.count(1)


def task(kind: str, *, timeout: float | None = None, **args: object) -> Task:
    number = next(_numbers)
    return Task(
        number, kind, "owner", 0, Status.RUNNING, json.dumps(args).encode(), "default", 5, attempt=2, max_attempts=5,
        timeout=timeout, lease=1_000 + number,
    )  # fmt: skip


@dataclass
class Rig:
    """A crew, and everything that it has reported."""

    crew: Crew
    reports: list[Report] = field(default_factory=list)

    @property
    def ended(self) -> dict[int, Ended]:
        found = [report for report in self.reports if isinstance(report, Ended)]
        assert len({report.task.id for report in found}) == len(found), "a task ended twice"
        return {report.task.id: report for report in found}

    async def until(self, is_so: Callable[[], bool], within: float = 60) -> None:
        async with asyncio.timeout(within):
            while not is_so():
                self.reports += await self.crew.reports()

    async def end_of(self, *tasks: Task, within: float = 60) -> list[Ended]:
        """Run these; their ends in the same order."""
        self.crew.run(tasks)
        return await self.ends(*tasks, within=within)

    async def ends(self, *tasks: Task, within: float = 60) -> list[Ended]:
        await self.until(lambda: all(each.id in self.ended for each in tasks), within)
        return [self.ended[each.id] for each in tasks]

    async def room(self, at_least: int) -> None:
        async with asyncio.timeout(60):
            while self.crew.room() < at_least:  # noqa: ASYNC110  # a crew tells nobody
                await asyncio.sleep(0.01)


async def _said(context: Attempt, args: Mapping[str, Any]) -> str:
    context.log("info", "hello", lease=context.task.lease, attempt=context.task.attempt)
    context.progress({"value": 0.5, "note": "half"})
    return format_id(context.task.id)


async def _fails(context: Attempt, args: Mapping[str, Any]) -> None:
    raise NotFound("there is no such order")


async def _later(context: Attempt, args: Mapping[str, Any]) -> None:
    raise Unavailable("the shop is closed", retry_after=30)


async def _breaks(context: Attempt, args: Mapping[str, Any]) -> None:
    raise KeyError("order")


async def _echo(context: Attempt, args: Mapping[str, Any]) -> object:
    return args.get("value")


async def _too_large(context: Attempt, args: Mapping[str, Any]) -> str:
    return "x" * (1024 * 1024)


async def _no_json(context: Attempt, args: Mapping[str, Any]) -> object:
    return object()


async def _sleeps(context: Attempt, args: Mapping[str, Any]) -> str:
    await asyncio.sleep(args.get("seconds", 60))
    return str(args.get("note", ""))


HOUSE = {
    "echo": _echo, "said": _said, "fails": _fails, "later": _later, "breaks": _breaks, "too.large": _too_large,
    "no.json": _no_json, "sleeps": _sleeps,
}  # fmt: skip


@asynccontextmanager
async def house() -> AsyncIterator[Rig]:
    crew = HouseCrew(HOUSE, SystemClock(), at_once=4)
    yield Rig(crew)
    await crew.close(0)


@asynccontextmanager
async def processes(count: int = 1, concurrency: int = 4) -> AsyncIterator[Rig]:
    crew = ProcessCrew(Crewing(("tests.support.handlers",), count, concurrency))
    crew.start()
    rig = Rig(crew)
    try:
        await rig.room(count * concurrency)
        yield rig
    finally:
        await crew.close(0)


@pytest.fixture(params=[house, processes])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with request.param() as made:
        yield made


@pytest.fixture
async def children() -> AsyncIterator[Rig]:
    async with processes() as made:
        yield made


async def test_a_task_that_succeeds_ends_with_its_result(rig: Rig) -> None:
    [ended] = await rig.end_of(task("echo", value=[1, "ä", None]))
    assert (ended.ending, json.loads(ended.result or b""), ended.error) == (Ending.SUCCEEDED, [1, "ä", None], None)


async def test_it_says_what_it_has_handlers_for(rig: Rig) -> None:
    assert {"echo", "sleeps"} <= rig.crew.types
    assert "unheard.of" not in rig.crew.types


async def test_lines_and_progress_come_before_the_end(rig: Rig) -> None:
    one = task("said")
    await rig.end_of(one)
    assert [type(report) for report in rig.reports] == [Logged, Progress, Ended]
    logged, progress, ended = rig.reports
    assert isinstance(logged, Logged)
    assert isinstance(progress, Progress)
    assert isinstance(ended, Ended)
    assert (logged.level, logged.message) == ("info", "hello")
    assert json.loads(logged.attributes) == {"lease": one.lease, "attempt": 2}
    assert abs(logged.time / 1e6 - time.time()) < 60
    assert json.loads(progress.value) == {"value": 0.5, "note": "half"}
    assert ended.result == f'"{format_id(one.id)}"'.encode()


async def test_an_error_for_good_fails_the_task(rig: Rig) -> None:
    [ended] = await rig.end_of(task("fails"))
    assert (ended.ending, ended.error) == (Ending.FAILED, "there is no such order")


async def test_a_handler_may_say_when_it_is_to_be_tried_again(rig: Rig) -> None:
    [ended] = await rig.end_of(task("later"))
    said = None if isinstance(rig.crew, HouseCrew) else 30.0  # the house's functions leave it to their type's policy
    assert (ended.ending, ended.error, ended.retry_after) == (Ending.RETRY, "the shop is closed", said)


async def test_an_unforeseen_error_is_tried_again_and_its_traceback_is_a_line(rig: Rig) -> None:
    [ended] = await rig.end_of(task("breaks"))
    assert (ended.ending, ended.error, ended.retry_after) == (Ending.RETRY, "KeyError: 'order'", None)
    [line] = [report for report in rig.reports if isinstance(report, Logged)]
    assert line.level == "error"
    assert "Traceback" in line.message


@pytest.mark.parametrize(("kind", "reason"), [("too.large", "1048578 bytes"), ("no.json", "not JSON")])
async def test_a_result_that_cannot_be_kept_fails_the_task(rig: Rig, kind: str, reason: str) -> None:
    [ended] = await rig.end_of(task(kind))
    assert (ended.ending, ended.result) == (Ending.FAILED, None)
    assert reason in (ended.error or "")


async def test_a_task_that_takes_too_long_is_tried_again(rig: Rig) -> None:
    slow, neighbour = await rig.end_of(task("sleeps", timeout=0.2), task("sleeps", seconds=0.4, note="well"))
    assert (slow.ending, slow.error) == (Ending.RETRY, "timed out after 0.2 s")
    assert (neighbour.ending, neighbour.result) == (Ending.SUCCEEDED, b'"well"')


@pytest.mark.parametrize("ending", [Ending.CANCELLED, Ending.RELEASED])
async def test_a_task_that_is_asked_to_stop_ends_as_asked(rig: Rig, ending: Ending) -> None:
    stopped, other = task("sleeps"), task("sleeps", seconds=0.5, note="well")
    rig.crew.run([stopped, other])
    await asyncio.sleep(0.1)
    rig.crew.stop([stopped.id], ending)
    one, two = await rig.ends(stopped, other)
    assert (one.ending, two.ending) == (ending, Ending.SUCCEEDED)


async def test_what_runs_takes_room_until_it_ends(rig: Rig) -> None:
    assert rig.crew.room() == 4
    tasks = [task("sleeps", seconds=0.3) for _ in range(3)]
    rig.crew.run(tasks)
    assert rig.crew.room() == 1
    await rig.ends(*tasks)
    assert rig.crew.room() >= 4


async def test_nothing_is_reported_while_nothing_happens(rig: Rig) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await rig.crew.reports()


async def test_closing_lets_what_runs_finish(rig: Rig) -> None:
    one = task("sleeps", seconds=0.3, note="done")
    rig.crew.run([one])
    await rig.crew.close(30)
    [ended] = await rig.ends(one)
    assert (ended.ending, ended.result) == (Ending.SUCCEEDED, b'"done"')
    assert rig.crew.room() == 0


async def test_closing_releases_what_does_not_finish(rig: Rig) -> None:
    one = task("sleeps")
    rig.crew.run([one])
    await asyncio.sleep(0.1)
    await rig.crew.close(0.1)
    [ended] = await rig.ends(one)
    assert ended.ending is Ending.RELEASED


# --- child processes only


async def test_a_thread_can_say_what_a_coroutine_can(children: Rig) -> None:
    await children.end_of(task("sync.said"))
    assert [type(report) for report in children.reports] == [Logged, Progress, Ended]


async def test_args_that_do_not_fit_fail_the_task(children: Rig) -> None:
    [ended] = await children.end_of(task("add", a="5", b=10))
    assert ended.ending is Ending.FAILED
    assert "args.a" in (ended.error or "")


async def test_a_thread_is_told_to_stop(children: Rig) -> None:
    one = task("sync.listens")
    children.crew.run([one])
    await asyncio.sleep(0.2)
    children.crew.stop([one.id])
    [ended] = await children.ends(one, within=9)
    assert ended.ending is Ending.CANCELLED


@pytest.mark.parametrize(("kind", "args", "reason"), [
    ("dies", {}, "killed by SIGKILL"), ("exits", {"status": 3}, "exited with status 3"),
    ("leaves", {"status": 4}, "exited with status 4"),
])  # fmt: skip
async def test_a_task_that_ends_its_process_is_tried_again_and_the_crew_lives(
    children: Rig, kind: str, args: dict[str, object], reason: str
) -> None:
    [ended] = await children.end_of(task(kind, **args))
    assert ended.ending is Ending.RETRY
    assert reason in (ended.error or "")
    await children.room(4)
    [after] = await children.end_of(task("echo", value=1))
    assert after.ending is Ending.SUCCEEDED


async def test_the_neighbours_of_a_poison_task_are_begun_anew_alone_and_succeed(children: Rig, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}" for number in range(3)]
    neighbours = [task("marks", path=str(path), seconds=0.6) for path in paths]
    poison = task("dies", after=0.3)
    ends = await children.end_of(*neighbours[:1], poison, *neighbours[1:])
    assert [each.ending for each in ends] == [Ending.SUCCEEDED, Ending.RETRY, Ending.SUCCEEDED, Ending.SUCCEEDED]
    assert [each.result for each in ends if each.result] == [b"2"] * 3, "each was begun twice"
    assert children.ended[poison.id].error == "the process that ran it was killed by SIGKILL"


async def test_a_killed_process_costs_no_task_its_attempt(children: Rig) -> None:
    tasks = [task("sleeps", seconds=0.5, note=str(number)) for number in range(4)]
    children.crew.run(tasks)
    await asyncio.sleep(0.2)
    assert isinstance(children.crew, ProcessCrew)
    os.kill(children.crew.pids()[0], signal.SIGKILL)
    ends = await children.ends(*tasks)
    assert {each.ending for each in ends} == {Ending.SUCCEEDED}


async def test_a_thread_past_its_timeout_is_ended_and_its_neighbours_go_on_anew(children: Rig) -> None:
    stuck, neighbour = await children.end_of(
        task("sync.sleeps", timeout=0.3), task("sleeps", seconds=0.6, note="well")
    )
    assert (stuck.ending, stuck.error) == (Ending.RETRY, "timed out after 0.3 s")
    assert (neighbour.ending, neighbour.result) == (Ending.SUCCEEDED, b'"well"')


async def test_neighbours_of_a_task_that_was_ended_are_under_no_suspicion(children: Rig, tmp_path: Path) -> None:
    neighbours = [task("marks", path=str(tmp_path / "marks"), seconds=0.8) for _ in range(2)]
    ends = await children.end_of(task("sync.sleeps", timeout=0.3), *neighbours)
    assert [each.result for each in ends[1:]] == [b"4", b"4"], "the second time, too, they were begun together"


async def test_a_task_that_does_not_stop_is_ended_by_force(children: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.adapters.processes._seat._FORCE_SECONDS", 0.5)
    deaf, thread, neighbour = task("deaf"), task("sync.sleeps"), task("sleeps", seconds=2, note="well")
    children.crew.run([deaf, thread, neighbour])
    await asyncio.sleep(0.2)
    children.crew.stop([deaf.id])
    children.crew.stop([thread.id], Ending.RELEASED)
    one, two, three = await children.ends(deaf, thread, neighbour)
    assert (one.ending, two.ending, three.ending) == (Ending.CANCELLED, Ending.RELEASED, Ending.SUCCEEDED)


async def test_a_task_that_is_deaf_to_its_timeout_is_ended_by_force(
    children: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.adapters.processes._seat._FORCE_SECONDS", 0.5)
    [ended] = await children.end_of(task("deaf", timeout=0.2))
    assert (ended.ending, ended.error) == (Ending.RETRY, "timed out after 0.2 s")


async def test_modules_that_cannot_be_imported_make_no_storm_of_processes(caplog: pytest.LogCaptureFixture) -> None:
    crew = ProcessCrew(Crewing(("tests.support.no_such_module",), 1, 1))
    crew.start()
    await asyncio.sleep(3)
    faults = [record for record in caplog.records if record.getMessage() == "a process for tasks cannot start"]
    assert 1 <= len(faults) <= 3
    assert "cannot import tests.support.no_such_module" in vars(faults[0])["reason"]
    assert (crew.room(), crew.types) == (0, frozenset())
    await crew.close(0)


async def test_tasks_go_to_the_process_with_most_room() -> None:
    async with processes(count=2, concurrency=2) as rig:
        tasks = [task("sleeps", seconds=0.5) for _ in range(2)]
        rig.crew.run(tasks)
        assert [seat.free for seat in rig.crew._seats] == [1, 1]  # type: ignore[attr-defined]  # looks inside
        await rig.ends(*tasks)


async def test_children_end_with_the_crew() -> None:
    async with processes(count=2, concurrency=1) as rig:
        assert isinstance(rig.crew, ProcessCrew)
        pids = rig.crew.pids()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


async def test_an_attempt_that_logs_without_end_says_that_lines_are_left_out(children: Rig) -> None:
    await children.end_of(task("chatters"))
    lines = [report for report in children.reports if isinstance(report, Logged)]
    assert 500 < len(lines) < 1_000
    assert "left out" in lines[-1].message


async def test_what_a_handler_prints_goes_to_the_server_s_standard_error(
    children: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    async with processes() as rig:
        await rig.end_of(task("prints", text="from the handler"))
        assert "from the handler" in capfd.readouterr().err


async def test_short_tasks_are_taken_in_advance_and_all_end(children: Rig) -> None:
    left = [task("add", a=number, b=1) for number in range(2_000)]
    most = 0
    while left:
        room = children.crew.room()
        most = max(most, room)
        batch, left = left[:room], left[room:]
        await children.end_of(*batch)
    assert most > 4
    assert len(children.ended) == 2_000


async def test_half_of_what_is_taken_in_advance_is_gone_before_more_is_taken(children: Rig) -> None:
    assert isinstance(children.crew, ProcessCrew)
    children.crew._ahead, children.crew._window = 100, time.monotonic() + 3_600  # as if so many had just been done
    children.crew.run([task("sleeps") for _ in range(4 + 51)])
    assert children.crew.room() == 0
    children.crew.stop([children.crew._waiting[0][1].id])
    assert children.crew.room() == 50


async def test_what_was_taken_in_advance_and_cannot_begin_goes_back(children: Rig) -> None:
    tasks = [task("sleeps", seconds=3) for _ in range(5)]
    ends = await children.end_of(*tasks)
    assert sorted(each.ending for each in ends) == [Ending.RELEASED] + [Ending.SUCCEEDED] * 4
