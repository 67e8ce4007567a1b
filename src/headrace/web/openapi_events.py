"""The write door for events in /openapi.json, which FastAPI cannot see."""

from __future__ import annotations

from typing import Any

from headrace.model.event import LEVEL_NAMES, OUTCOMES
from headrace.web.params import BUCKET_PATH, EXAMPLE_ID, MOMENT, UUID

Json = dict[str, Any]

_EVENT = {
    "id": EXAMPLE_ID,
    "level": "info",
    "service": "billing-api",
    "action": "invoice.paid",
    "actor": {"id": "user-1842", "type": "user", "name": "Ada"},
    "target": {"id": "inv-99311", "type": "invoice"},
    "outcome": "success",
    "message": "Invoice 99311 paid",
    "attributes": {"amount": "129.00", "ip": "203.0.113.7"},
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "span_id": "00f067aa0ba902b7",
}
_BATCH = [
    {"action": "user.login", "actor": "user-1842", "outcome": "success"},
    {"action": "user.login", "actor": "user-7", "outcome": "failure", "level": "warning", "message": "wrong password"},
]
_LINES = '{"message": "starting", "service": "worker"}\n{"message": "ready", "service": "worker", "level": "debug"}\n'


def text(most: int | None = None, **more: Any) -> Json:
    return {"type": ["string", "null"]} | ({"maxLength": most} if most else {}) | more


def _party() -> Json:
    return {
        "description": "An id, or an object with it.",
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "required": ["id"],
                "additionalProperties": False,
                "properties": {"id": {"type": "string"}, "type": text(), "name": text()},
            },
            {"type": "null"},
        ],
    }


def moment() -> Json:
    return {
        "description": "RFC 3339 with an offset, or an epoch number: seconds, milli-, micro- or nanoseconds.",
        "anyOf": [
            {"type": "string", "pattern": f"^{MOMENT}$"},
            {"type": "number", "minimum": 0, "maximum": 9_214_646_399},
            {"type": "null"},
        ],
        "examples": ["2026-11-20T12:00:00.123Z"],
    }


def new_event() -> Json:
    own: Json = {"id": {"type": "string"}, "dedup_key": {"type": "string"}}
    said = [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("message", "action")]
    return {
        "type": "object",
        "description": "All fields are optional, but one of `message` and `action` must be there. At most 256 KiB.",
        "additionalProperties": False,
        "anyOf": said,
        "properties": {
            "id": text(pattern=UUID, description="Your own UUID; kept."),
            "dedup_key": text(256, minLength=1, description="Instead of `id`: the same key gives the same id."),
            "time": moment(),
            "level": {"enum": [*LEVEL_NAMES, None], "default": "info", "description": "In any case."},
            "service": text(),
            "action": text(),
            "actor": _party(),
            "target": _party(),
            "outcome": {"enum": [*OUTCOMES, None]},
            "message": text(),
            "attributes": {"type": ["object", "null"], "description": "Kept as it is: every digit, and the order."},
            "trace_id": text(),
            "span_id": text(),
        },
        "not": {"required": list(own), "properties": own},
    }


def accepted() -> Json:
    return {
        "type": "object",
        "description": "What became of a batch.",
        "required": ["accepted", "rejected"],
        "properties": {
            "accepted": {"type": "integer"},
            "rejected": {"type": "integer"},
            "ids": {"type": "array", "items": {"type": "string", "format": "uuid"}, "description": "Of the accepted."},
            "errors": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/ItemErrorAnswer"}},
        },
    }


def write_events() -> Json:
    event = {"$ref": "#/components/schemas/NewEvent"}
    single = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", "format": "uuid"}},
        "additionalProperties": False,
    }
    answer = {"application/json": {"schema": {"anyOf": [single, {"$ref": "#/components/schemas/Accepted"}]}}}
    batch = {"type": "array", "minItems": 1, "maxItems": 100_000, "items": event}
    return {
        "tags": ["Events"],
        "summary": "Record events",
        "operationId": "record_events",
        "description": (
            "One event, an array, or lines (NDJSON). Answered once it is durable. In a batch each item is taken or "
            "refused for itself; only when every one is refused is the answer 422.\n\nAt most 16 MiB as sent, 64 MiB "
            "unpacked (an array 4 MiB), 100,000 items. Safe to repeat with `id`, `dedup_key` or `Idempotency-Key`."
        ),
        "parameters": [BUCKET_PATH, *_WRITE_PARAMETERS],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"anyOf": [event, batch]},
                    "examples": {
                        "one": {"summary": "One event", "value": _EVENT},
                        "several": {"summary": "A batch", "value": _BATCH},
                    },
                },
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "examples": {"lines": {"summary": "One event a line", "value": _LINES}},
                },
            },
        },
        "responses": {
            "201": {"description": "Stored: it can be queried.", "content": answer, "headers": _POSITION},
            "202": {"description": "Durable: it will be stored, whatever happens.", "content": answer},
        },
    }


_POSITION: Json = {
    "Headrace-Position": {
        "description": "Send it as `Headrace-Read-After`, and a read sees these events whichever copy answers it.",
        "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    }
}

IDS_PARAMETER: Json = {
    "name": "ids", "in": "query", "schema": {"type": "boolean", "default": True},
    "description": "`false` leaves the ids out of the answer to a batch.",
}  # fmt: skip
ENCODING_PARAMETER: Json = {
    "name": "Content-Encoding", "in": "header", "schema": {"enum": ["identity", "gzip", "deflate", "zstd"]},
    "description": "How the body is compressed.",
}  # fmt: skip
_WRITE_PARAMETERS: list[Json] = [
    {
        "name": "ack", "in": "query", "schema": {"enum": ["durable", "stored"], "default": "durable"},
        "description": "When to answer. `stored`: 201 once it can be queried; 202 after 10 s without that.",
    },
    IDS_PARAMETER,
    {
        "name": "Idempotency-Key", "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
        "description": "Makes the whole request safe to repeat: ids are derived from it.",
    },
    ENCODING_PARAMETER,
]  # fmt: skip
