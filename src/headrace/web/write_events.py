"""The write door for events: one, an array, or lines, into a bucket. The hottest path of all."""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.errors import HeadraceError
from headrace.ingest.framing import Accepted, Door
from headrace.metering.gate import Ticket
from headrace.model.bucket import Bucket
from headrace.model.permission import require
from headrace.model.principal import Permission
from headrace.services import Services
from headrace.web.errors import items
from headrace.web.write_call import IDS, JSON_HEADERS, Answer, Call, Choices, chosen

EVENTS_ROUTE: Final = "/v1/buckets/{bucket}/events"
_PREFIX, _SUFFIX = "/v1/buckets/", "/events"
_CHOICES: Choices = {"ack": {"durable": False, "stored": True}, "ids": IDS}
_encode = msgspec.json.Encoder().encode


class WriteEvents:
    """`POST /v1/buckets/{bucket}/events`."""

    route = EVENTS_ROUTE

    def __init__(self, services: Services) -> None:
        self._services = services

    def place_of(self, path: str) -> str | None:
        """The name of the bucket."""
        if path.endswith(_SUFFIX) and path.startswith(_PREFIX):
            name = path[len(_PREFIX) : -len(_SUFFIX)]
            if name and "/" not in name:
                return name
        return None

    async def answer(self, place: str, call: Call) -> Answer:
        """202, or 201 once they can be queried."""
        bucket, ticket = await self._let_in(place, call)
        stored, want_ids = _options(call.query) if call.query else (False, True)
        lines = call.is_lines()
        key = call.idempotency_key()
        body = await call.body()
        door = Door(bucket, key, stored, want_ids)
        many = lines or body.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] == b"["
        intake = self._services.intake
        take = intake.lines if lines else intake.array if many else intake.one
        accepted = await take(door, body)
        ticket.charge(accepted.count, accepted.size)
        return _many(accepted, want_ids) if many else _single(accepted)

    async def _let_in(self, name: str, call: Call) -> tuple[Bucket, Ticket]:
        """The bucket, which the caller may write to, and what is charged for it. Raises OverQuota as well."""
        services, gate = self._services, self._services.gate
        principal = call.known() or await call.caller()
        try:
            bucket = services.buckets.cached(name) or await services.buckets.resolve(name)
            require(principal, bucket, Permission.WRITE)
        except HeadraceError:
            await gate.enter(principal, None)  # who may not write here may not ask without limit either
            raise
        return bucket, gate.admit(principal, bucket) or await gate.enter(principal, bucket)


def _options(query: bytes) -> tuple[bool, bool]:
    """(wait until stored, want the ids). Raises Malformed."""
    found = chosen(query, _CHOICES)
    return found.get("ack", False), found.get("ids", True)


def _single(accepted: Accepted) -> Answer:
    return *_head(accepted), b'{"id":"%s"}' % accepted.ids[0].encode()


def _many(accepted: Accepted, want_ids: bool) -> Answer:
    answer: dict[str, object] = {"accepted": accepted.count, "rejected": accepted.rejected}
    if want_ids:
        answer["ids"] = accepted.ids
    answer["errors"] = items(accepted.errors)
    return *_head(accepted), _encode(answer)


def _head(accepted: Accepted) -> tuple[int, list[tuple[bytes, bytes]]]:
    """Status and headers. With its position a read sees the events, whichever copy of the store answers it."""
    if not accepted.stored:
        return 202, JSON_HEADERS
    position = [(b"headrace-position", b"%d" % accepted.position)] if accepted.position else []
    return 201, [*JSON_HEADERS, *position]
