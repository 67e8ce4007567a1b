"""The server's answers as the commands read them (API.md). Unknown fields are ignored: a newer server may say more."""

from __future__ import annotations

import msgspec


class ItemProblem(msgspec.Struct):
    """One of several reasons. `index` counts the items of a batch, blank lines left out."""

    detail: str = ""
    code: str = ""
    index: int | None = None
    field: str | None = None


class Problem(msgspec.Struct):
    """The body of an answer that is no success (RFC 9457)."""

    title: str = ""
    detail: str = ""
    errors: list[ItemProblem] = []


class Accepted(msgspec.Struct):
    """What became of a batch."""

    accepted: int
    rejected: int = 0
    errors: list[ItemProblem] = []


class Party(msgspec.Struct):
    """An actor or a target."""

    id: str
    type: str | None = None
    name: str | None = None


class Event(msgspec.Struct):
    """A stored event. `attributes` stays the JSON text that was sent; times are RFC 3339 in UTC."""

    id: str
    time: str
    level: str
    received_at: str = ""
    bucket: str = ""
    service: str | None = None
    action: str | None = None
    actor: Party | None = None
    target: Party | None = None
    outcome: str | None = None
    message: str | None = None
    attributes: msgspec.Raw = msgspec.Raw()
    trace_id: str | None = None
    span_id: str | None = None


class Page(msgspec.Struct):
    """A page of events, each as the server wrote it: digits and order survive."""

    events: list[msgspec.Raw]
    next_cursor: str | None = None


class TaskPage(msgspec.Struct):
    """A page of tasks, each as the server wrote it."""

    tasks: list[msgspec.Raw]
    next_cursor: str | None = None


CSV_COLUMNS = (
    "id", "time", "received_at", "bucket", "level", "service", "action",
    "actor_id", "actor_type", "actor_name", "target_id", "target_type", "target_name",
    "outcome", "message", "trace_id", "span_id", "attributes",
)  # fmt: skip
"""As in the server's own CSV (query/export_text.py)."""


def csv_cells(event: Event) -> list[str | None]:
    """An event as a row under CSV_COLUMNS; a spreadsheet shows the cells that it would otherwise run (OWASP)."""
    actor, target = event.actor or Party(""), event.target or Party("")
    cells = [
        event.id, event.time, event.received_at, event.bucket, event.level, event.service, event.action,
        actor.id, actor.type, actor.name, target.id, target.type, target.name,
        event.outcome, event.message, event.trace_id, event.span_id, bytes(event.attributes).decode(),
    ]  # fmt: skip
    return [f"'{cell}" if cell and cell[0] in "=+-@\t\r\n" else cell for cell in cells]
