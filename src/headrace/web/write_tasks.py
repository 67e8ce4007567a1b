"""The write doors for tasks: one, and a batch. Whose they are says the credential; there is no bucket."""

from __future__ import annotations

from typing import Final

import msgspec

from headrace.metering.gate import Ticket
from headrace.model.principal import Principal
from headrace.services import Services
from headrace.tasks.render import task_json
from headrace.tasks.rights import owner_of
from headrace.tasks.submission import Submitted
from headrace.tasks.wire import MAX_BODY_BYTES
from headrace.web.errors import items
from headrace.web.write_call import IDS, JSON_HEADERS, Answer, Call, Choices, chosen

TASKS_ROUTE: Final = "/v1/tasks"
BATCH_ROUTE: Final = "/v1/tasks/batch"
_BOM_BYTES = 3
_BATCH_CHOICES: Choices = {"ids": IDS}
_encode = msgspec.json.Encoder().encode


class WriteTask:
    """`POST /v1/tasks`: one JSON object."""

    route = TASKS_ROUTE

    def __init__(self, services: Services) -> None:
        self._services = services

    def place_of(self, path: str) -> str | None:
        return "" if path == TASKS_ROUTE else None

    async def answer(self, _place: str, call: Call) -> Answer:
        """202 with the task; 200 with the first one of its idempotency key."""
        principal, _ = await let_in(self._services, call)
        chosen(call.query, {})
        call.is_lines(taken=False)
        key = call.idempotency_key()
        body = await call.body(MAX_BODY_BYTES + _BOM_BYTES)
        task, is_new = await self._services.submission.one(principal, body, key)
        return 202 if is_new else 200, JSON_HEADERS, task_json(task)


class WriteTasks:
    """`POST /v1/tasks/batch`: lines, or an array."""

    route = BATCH_ROUTE

    def __init__(self, services: Services) -> None:
        self._services = services

    def place_of(self, path: str) -> str | None:
        return "" if path == BATCH_ROUTE else None

    async def answer(self, _place: str, call: Call) -> Answer:
        """202: each item is taken or refused for itself."""
        principal, ticket = await let_in(self._services, call)
        want_ids = chosen(call.query, _BATCH_CHOICES).get("ids", True)
        lines = call.is_lines()
        key = call.idempotency_key()
        body = await call.body()
        submission = self._services.submission
        submitted = await (submission.lines if lines else submission.array)(principal, body, key)
        ticket.charge_rates(submitted.count)
        return 202, JSON_HEADERS, _told(submitted, want_ids)


async def let_in(services: Services, call: Call) -> tuple[Principal, Ticket]:
    """Who is asking, and what is charged for it. Raises Unauthenticated, OverQuota; Forbidden for a viewer token."""
    principal = call.known() or await call.caller()
    ticket = services.gate.admit(principal, None) or await services.gate.enter(principal, None)
    owner_of(principal)
    return principal, ticket


def _told(submitted: Submitted, want_ids: bool) -> bytes:
    answer: dict[str, object] = {"accepted": submitted.count, "rejected": submitted.rejected}
    if want_ids:
        answer["ids"] = submitted.ids
    answer["errors"] = items(submitted.errors)
    return _encode(answer)
