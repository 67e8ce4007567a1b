"""The checker itself: each clause of the invariant, broken by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.check import violations
from tests.chaos.ledger import Event, History, Ledger, Sent, read_ledger

ID = "01a1fa8d-58dd-7dfa-8758-5926d6e42668"
OTHER = "01a1fa8d-58dd-7dfa-8758-5926d6e42669"


def event(name: str = "t1", **fields: object) -> Event:
    return {"message": "hi", "level": "info", "attributes": {"token": name, "n": 10**30}, **fields}


def stored(name: str = "t1", **fields: object) -> Event:
    added = {"id": ID, "time": "2026-01-01T00:00:00Z", "bucket": "default", "received_at": "now"}
    return {**event(name), **added, **fields}


def history(*ids: str, statuses: dict[str, int] | None = None) -> History:
    return History({"t1": Sent(event(), set(ids))}, statuses or {})


def test_an_acknowledged_event_that_is_there_once_is_fine() -> None:
    assert violations(history(ID), [stored()]) == []


def test_an_unacknowledged_event_may_be_there_once_or_not_at_all() -> None:
    assert violations(history(), []) == violations(history(), [stored()]) == []


def test_an_acknowledged_event_may_be_in_the_dead_letters_instead() -> None:
    assert violations(history(ID), [], ["t1"]) == []


@pytest.mark.parametrize(
    ("past", "found", "dead", "word"),
    [
        (history(ID), [], [], "lost"),
        (history(ID), [stored(), stored()], [], "2 times"),
        (history(), [stored(), stored()], [], "2 times"),
        (history(ID), [stored()], ["t1"], "2 times"),
        (history(ID), [stored(), stored("t2")], [], "never sent"),
        (history(ID), [stored(id=OTHER)], [], "acknowledged as"),
        (history(ID, OTHER), [stored()], [], "under 2 ids"),
        (history(ID), [stored(message="ho")], [], "sent"),
        (history(ID), [stored(service="new")], [], "sent"),
        (history(ID), [stored(attributes={"n": 10**30, "token": "t1"})], [], "sent"),
        (history(ID, statuses={"500": 1}), [stored()], [], "status 500"),
    ],
)
def test_what_breaks_the_invariant_is_told(past: History, found: list[Event], dead: list[str], word: str) -> None:
    told = violations(past, found, dead)
    assert len(told) == 1
    assert word in told[0]


def test_the_ledger_remembers_attempts_and_answers(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    number = ledger.request([event("t1"), event("t2")], again=True)
    ledger.no_answer(ledger.attempt(number), "reset")
    ledger.answer(ledger.attempt(number), 202, [ID, OTHER])
    ledger.answer(ledger.attempt(ledger.request([event("t3")], again=False)), 503, [])
    ledger.close()
    past = read_ledger(ledger.path)
    assert {name: sent.ids for name, sent in past.sent.items()} == {"t1": {ID}, "t2": {OTHER}, "t3": set()}
    assert past.statuses == {"none": 1, "202": 1, "503": 1}
    assert past.acknowledged == 2
