"""Clients that never stop asking, and write down every answer: for restarts that nobody may notice."""

from __future__ import annotations

import itertools
import json
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Self

EVENTS = "/v1/buckets/default/events"
_Request = tuple[str, str, bytes, str]
"""Method, path, body, content type."""


def singles(_: int) -> _Request:
    return "POST", EVENTS, json.dumps({"id": str(uuid.uuid4()), "message": "one"}).encode(), "application/json"


def batches(_: int) -> _Request:
    lines = "\n".join(json.dumps({"id": str(uuid.uuid4()), "message": f"of many {n}"}) for n in range(50))
    return "POST", EVENTS, lines.encode(), "application/x-ndjson"


def reads(number: int) -> _Request:
    path = (f"{EVENTS}?limit=5", "/v1/buckets", "/health/live")[number % 3]
    return "GET", path, b"", ""


class Load:
    """`with Load(port, key, singles, batches, reads) as load: …`, one thread for each kind; then `load.answers`."""

    def __init__(self, port: int, key: str, *kinds: Callable[[int], _Request]) -> None:
        self._port, self._key, self._kinds = port, key, kinds
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.answers: Counter[str] = Counter()
        """How often each kind was answered with each status, or not at all: `singles 202`."""
        self.acknowledged: list[str] = []
        """The ids of all events that were."""

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._go_on, args=(kind,)) for kind in self._kinds]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _go_on(self, kind: Callable[[int], _Request]) -> None:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Authorization": f"Bearer {self._key}"}
        for number in itertools.count():
            if self._over.is_set():
                break
            method, path, body, content = kind(number)
            try:
                connection.request(method, path, body or None, headers | ({"Content-Type": content} if content else {}))
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, HTTPException) as exc:
                self.answers[f"{kind.__name__} {type(exc).__name__}"] += 1
                connection.close()
                continue
            self.answers[f"{kind.__name__} {answer.status}"] += 1
            if answer.status == 202:
                found = json.loads(text)
                self.acknowledged += found.get("ids") or [found["id"]]
        connection.close()
