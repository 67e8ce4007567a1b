"""The checker's own memory, outside the server: each attempt before it is sent, each answer once it is read, fsynced.

One JSON object a line:
    {"request": 7, "again": true, "events": [{…}, …]}    what request 7 is (`again`: it is safe to repeat)
    {"attempt": 12, "request": 7}                        it is being sent
    {"answer": 12, "status": 202, "ids": ["…", …]}       an answer came (ids in the order of the events)
    {"answer": 12, "error": "…"}                         none came
    {"fault": "…"}                                       what was done to the server
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]
ACKNOWLEDGED = frozenset((200, 201, 202))
"""200: of a task that was taken before."""


class Ledger:
    """Appends; every line is on disk when the method returns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._requests = 0
        self._attempts = 0

    def request(self, events: list[Event], *, again: bool) -> int:
        self._requests += 1
        self._write({"request": self._requests, "again": again, "events": events})
        return self._requests

    def attempt(self, request: int) -> int:
        self._attempts += 1
        self._write({"attempt": self._attempts, "request": request})
        return self._attempts

    def answer(self, attempt: int, status: int, ids: list[str]) -> None:
        self._write({"answer": attempt, "status": status, "ids": ids})

    def no_answer(self, attempt: int, error: str) -> None:
        self._write({"answer": attempt, "error": error})

    def fault(self, what: str) -> None:
        self._write({"fault": what})

    def close(self) -> None:
        os.close(self._file)

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._file, json.dumps(line, separators=(",", ":")).encode() + b"\n")
        os.fdatasync(self._file)


@dataclass(slots=True)
class Sent:
    """An event as it was sent, and the ids under which it was acknowledged: none, or one that never changes."""

    event: Event
    ids: set[str] = field(default_factory=set)


@dataclass(slots=True)
class History:
    """What a ledger says, by the token that every event carries."""

    sent: dict[str, Sent] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def acknowledged(self) -> int:
        return sum(bool(one.ids) for one in self.sent.values())


def token(event: Event) -> str:
    """Of an event, or of a task."""
    carried = event["args"] if "args" in event else event["attributes"]
    return str(carried["token"])


def read_ledger(path: Path) -> History:
    """Raises ValueError for an answer whose ids do not fit what was sent."""
    history = History()
    requests: dict[int, list[Event]] = {}
    attempts: dict[int, int] = {}
    for line in _lines(path):
        if "events" in line:
            requests[line["request"]] = line["events"]
            history.sent.update((token(event), Sent(event)) for event in line["events"])
        elif "attempt" in line:
            attempts[line["attempt"]] = line["request"]
        elif "fault" in line:
            history.faults.append(line["fault"])
        else:
            _take_answer(history, line, requests[attempts[line["answer"]]])
    return history


def _take_answer(history: History, line: dict[str, Any], events: list[Event]) -> None:
    status = str(line.get("status", "none"))
    history.statuses[status] = history.statuses.get(status, 0) + 1
    if line.get("status") in ACKNOWLEDGED:
        for event, event_id in zip(events, line["ids"], strict=True):
            history.sent[token(event)].ids.add(event_id)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        yield from map(json.loads, file)
