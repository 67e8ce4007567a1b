"""Clients that send all the time, as the API lets them: single events and NDJSON, with ids of theirs or without,
waiting for the store or not. What is safe to repeat is repeated until it is acknowledged; the rest is sent once."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.events import Events
from tests.chaos.http import Answer, Connection
from tests.chaos.ledger import ACKNOWLEDGED, Event, Ledger

_MOST_EVENTS = 120
_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    target: str
    body: bytes
    headers: dict[str, str]
    events: list[Event]
    again: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """When a request was sent (monotonic), how long its answer took, what status it had (0: none came), and of
    what is no acknowledgement the words."""

    at: float
    seconds: float
    status: int
    said: str = ""


class Traffic:
    """`start`, and in the end `finish`, which lets every repeatable request come to its acknowledgement.

    Clients spread over `ports`, and move on to the next one when theirs gives no answer.
    """

    def __init__(
        self,
        ports: Sequence[int],
        key: str,
        ledger: Ledger,
        seed: int,
        *,
        clients: int = 6,
        pause: float = 0.0,
    ) -> None:
        self._chance = random.Random(seed)
        self._events = Events(self._chance)
        self._ledger = ledger
        self._ports = list(ports)
        self._key = key
        self._clients = clients
        self._pause = pause
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self.acknowledged = 0
        self.refused = 0
        self.broken: list[str] = []
        """What a client saw that must not be."""
        self.asked: list[Asked] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._client(n), name=f"client-{n}") for n in range(self._clients)]

    async def finish(self, within: float = 30) -> None:
        """Send nothing new; end what was begun. Raises TimeoutError when it is not acknowledged in time."""
        self._stopping = True
        async with asyncio.timeout(within):
            await asyncio.gather(*self._tasks)

    async def probe(self, port: int) -> bool:
        """Whether an event that is sent to this port now can be read at once."""
        request = self._made([self._events.make(named=True)], again=True, wait=True)
        connection = Connection(port, self._key)
        answer = await self._try(connection, request)
        connection.close()
        return answer is not None and answer.status == 201

    async def _client(self, number: int) -> None:
        connection = Connection(self._ports[number % len(self._ports)], self._key)
        while not self._stopping:
            connection = await self._send(connection, self._request())
            await asyncio.sleep(self._pause)
        connection.close()

    async def _send(self, connection: Connection, request: Request) -> Connection:
        """Until it is acknowledged, if it may be repeated; the connection to use from now on."""
        while True:
            answer = await self._try(connection, request)
            if answer is None:
                connection = self._next(connection)
            elif answer.status in ACKNOWLEDGED:
                await self._read_own_write(connection, answer)
                return connection
            await asyncio.sleep(_PAUSE)  # so that what starts again has the machine for itself
            if not request.again:
                return connection

    async def _try(self, connection: Connection, request: Request) -> Answer | None:
        attempt = self._ledger.attempt(request.number)
        began = time.monotonic()
        try:
            answer = await connection.ask("POST", request.target, request.body, **request.headers)
        except OSError as exc:
            self._ledger.no_answer(attempt, str(exc))
            self.asked.append(Asked(began, time.monotonic() - began, 0))
            return None
        said = "" if answer.status in ACKNOWLEDGED else str(answer.json().get("detail"))
        self.asked.append(Asked(began, time.monotonic() - began, answer.status, said))
        self._ledger.answer(attempt, answer.status, _ids(answer))
        if answer.status in ACKNOWLEDGED:
            self.acknowledged += len(request.events)
        else:
            self.refused += 1
        return answer

    def _next(self, connection: Connection) -> Connection:
        if len(self._ports) == 1:
            return connection
        connection.close()
        place = self._ports.index(connection.port) + 1
        return Connection(self._ports[place % len(self._ports)], self._key)

    async def _read_own_write(self, connection: Connection, answer: Answer) -> None:
        """201 says that it can be queried now."""
        if answer.status != 201:
            return
        event_id = _ids(answer)[-1]
        try:
            found = await connection.ask("GET", f"/v1/buckets/default/events/{event_id}")
        except OSError:
            return
        if found.status not in {200, 503}:
            self.broken.append(f"{event_id}: answered 201, and cannot be read: {found.status}")

    def _request(self) -> Request:
        chance = self._chance
        named = chance.random() < 0.4
        many = chance.random() < 0.4
        events = [self._events.make(named=named) for _ in range(chance.randint(1, _MOST_EVENTS) if many else 1)]
        keyed = not named and chance.random() < 0.4
        return self._made(events, again=named or keyed, keyed=keyed, many=many, wait=chance.random() < 0.2)

    def _made(
        self, events: list[Event], *, again: bool, wait: bool, keyed: bool = False, many: bool = False
    ) -> Request:
        headers = {"Content_Type": "application/x-ndjson" if many else "application/json"}
        number = self._ledger.request(events, again=again)
        if keyed:
            headers["Idempotency_Key"] = f"request-{number}"
        target = "/v1/buckets/default/events" + ("?ack=stored" if wait else "")
        body = "\n".join(json.dumps(event, ensure_ascii=self._chance.random() < 0.5) for event in events)
        return Request(number, target, body.encode(), headers, events, again=again)


def _ids(answer: Answer) -> list[str]:
    if answer.status not in ACKNOWLEDGED:
        return []
    answered = answer.json()
    ids: list[str] = answered["ids"] if "ids" in answered else [answered["id"]]
    return ids
