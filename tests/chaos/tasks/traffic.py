"""Clients that submit tasks: single ones and batches, with idempotency keys or without. What has a key is repeated
until it is acknowledged; the rest is sent once."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.chaos.http import Answer, Connection
from tests.chaos.ledger import Event, Ledger
from tests.chaos.traffic import Request, Traffic

_MOST = 12  # tasks of a batch
ATTEMPTS = 200  # a kill costs every task an attempt that was running; none may be dead for that


class TaskTraffic(Traffic):
    """After `most` tasks, or at `end`, nothing more is sent. `seconds`: up to so long each of them takes."""

    def __init__(
        self,
        ports: Sequence[int],
        key: str,
        ledger: Ledger,
        seed: int,
        *,
        most: int | None = None,
        seconds: float = 0.2,
        clients: int = 4,
        pause: float = 0.15,
    ) -> None:
        super().__init__(ports, key, ledger, seed, clients=clients, pause=pause)
        self._most = most
        self._seconds = seconds
        self.made = 0

    @property
    def is_through(self) -> bool:
        """Whether all of them were made."""
        return self._most is not None and self.made >= self._most

    def end(self) -> None:
        """Make no more."""
        self._most = self.made
        self._stopping = True

    async def probe(self, port: int) -> bool:
        """Whether a task is taken through this port now."""
        connection = Connection(port, self._key)
        answer = await self._try(connection, self._submission([self._task()], keyed=True))
        connection.close()
        return answer is not None and answer.status in {200, 202}

    async def _read_own_write(self, connection: Connection, answer: Answer) -> None:
        """Nothing is promised of a task but that it will be run."""

    def _request(self) -> Request:
        chance = self._chance
        many = chance.random() < 0.3
        size = chance.randint(2, _MOST) if many else 1
        left = size if self._most is None else max(1, self._most - self.made)
        tasks = [self._task() for _ in range(min(size, left))]
        if self.is_through:
            self._stopping = True
        return self._submission(tasks, keyed=chance.random() < 0.6, many=many)

    def _task(self) -> Event:
        chance = self._chance
        self.made += 1
        seconds = round(chance.uniform(0, self._seconds) ** 2 / self._seconds, 3)
        args: Event = {"token": f"t{self.made}", "seconds": seconds}
        kind = "effect" if chance.random() < 0.7 else "effect.async"
        if kind == "effect" and chance.random() < 0.2:
            args["steps"] = 3
        return {"type": kind, "args": args, "priority": chance.randrange(10), "max_attempts": ATTEMPTS}

    def _submission(self, tasks: list[Event], *, keyed: bool, many: bool = False) -> Request:
        number = self._ledger.request(tasks, again=keyed)
        headers = {"Content_Type": "application/x-ndjson" if many else "application/json"}
        if keyed:
            headers["Idempotency_Key"] = f"request-{number}"
        target = "/v1/tasks/batch" if many else "/v1/tasks"
        body = "\n".join(json.dumps(task) for task in tasks).encode()
        return Request(number, target, body, headers, tasks, keyed)
