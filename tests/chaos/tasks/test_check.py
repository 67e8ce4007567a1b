"""The checker of tasks itself: each clause, broken by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.ledger import Event, History, Sent
from tests.chaos.tasks.check import Evidence, task_violations
from tests.chaos.tasks.leasing_worker import source
from tests.chaos.tasks.outside import Effect, Outside, Refused, read_effects

SENT: Event = {"type": "effect", "args": {"token": "t1", "seconds": 0.1}, "priority": 5}


def stored(**fields: object) -> Event:
    return {**SENT, "id": "A", "status": "succeeded", "attempt": 1, "result": {"token": "t1", "run": "r1"}, **fields}


def line(what: str, lease: int = 1, run: str = "r1", *, task: str = "A", refused: bool = False) -> Effect:
    return Effect(task, lease, 1, run, what, 0.0, 1, refused)


RUN = [line("begin"), line("end")]


def evidence(
    *, ids: tuple[str, ...] = ("A",), tasks: list[Event] | None = None, effects: list[Effect] | None = None,
    told: tuple[str, ...] = ("A",), status: str = "202", lawful: bool = False,
) -> Evidence:  # fmt: skip
    history = History({"t1": Sent(SENT, set(ids))}, {status: 1})
    found = [stored()] if tasks is None else tasks
    return Evidence(history, found, RUN if effects is None else effects, told, leases_may_run_out=lawful)


def test_a_task_that_was_acknowledged_and_ran_once_is_fine() -> None:
    assert task_violations(evidence()) == []


def test_an_unacknowledged_task_may_be_there_once_or_not_at_all() -> None:
    assert task_violations(evidence(ids=())) == []
    assert task_violations(evidence(ids=(), tasks=[], effects=[], told=())) == []


def test_a_run_whose_process_died_may_be_begun_anew_under_the_same_lease_or_a_later_one() -> None:
    for lease in (1, 2):
        again = [line("begin", 1, "r0"), line("step", 1, "r0"), line("begin", lease), line("end", lease)]
        assert task_violations(evidence(effects=again)) == []


def test_a_run_that_lost_its_lease_and_was_refused_outside_is_fine_where_leases_may_run_out() -> None:
    late = [line("begin", 1, "r0"), line("begin", 2), line("end", 1, "r0", refused=True), line("end", 2)]
    assert task_violations(evidence(effects=late, lawful=True)) == []
    assert len(task_violations(evidence(effects=late))) == 1


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        (evidence(tasks=[], effects=[], told=()), "lost"),
        (evidence(ids=("A", "B")), "under 2 ids"),
        (evidence(ids=("B",)), "acknowledged as"),
        (evidence(tasks=[stored(priority=6)]), "sent"),
        (evidence(tasks=[stored(status="queued", attempt=0)], told=()), "queued"),
        (evidence(tasks=[stored(status="dead", attempt=5)], told=()), "dead"),
        (evidence(effects=[line("begin")]), "did not happen"),
        (evidence(effects=[*RUN, line("begin", 2, "r2")]), "when 2 had been given"),
        (evidence(effects=[*RUN, line("begin", 1, "r2")]), "begun again"),
        (evidence(effects=[*RUN, line("begin", task="B")]), "not in the table"),
        (evidence(effects=[line("begin", 1, "r0"), line("begin"), line("step", 1, "r0"), line("end")]), "at once"),
        (evidence(told=("A", "A")), "2 successes"),
        (evidence(status="500"), "status 500"),
    ],
)
def test_what_breaks_a_promise_is_told(broken: Evidence, word: str) -> None:
    assert any(word in told for told in task_violations(broken))


def test_a_task_that_is_there_twice_or_was_never_sent_is_told() -> None:
    twice = task_violations(evidence(tasks=[stored(), stored(id="B")]))
    assert any("2 times" in told for told in twice)
    other = stored(args={"token": "t2", "seconds": 0.1})
    assert any("never sent" in told for told in task_violations(evidence(tasks=[stored(), other])))


def test_the_world_outside_refuses_a_lease_that_is_lower_than_one_before(tmp_path: Path) -> None:
    outside = Outside(tmp_path)
    old = outside.run("A", 7, 1)
    new = outside.run("A", 8, 2)
    with pytest.raises(Refused):
        old.write("end")
    new.write("end")
    assert [(one.lease, one.what, one.refused) for one in read_effects(tmp_path)] == [
        (7, "begin", False), (8, "begin", False), (7, "end", True), (8, "end", False),
    ]  # fmt: skip


def test_the_worker_of_the_examples_is_the_one_that_is_killed() -> None:
    assert "LEASE_SECONDS = 2\n" in source()
