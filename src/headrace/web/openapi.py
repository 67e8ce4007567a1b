"""The document at /openapi.json: what FastAPI finds out by itself, the write door that it cannot see, and every answer
that a door may give."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from headrace.model.event import LEVEL_NAMES, OUTCOMES
from headrace.web.api.auth import TOKEN_PATH
from headrace.web.params import BUCKET_PATH, EXAMPLE_ID, MOMENT, UUID
from headrace.web.schemas import Problem

Json = dict[str, Any]
WRITE_PATH = "/v1/buckets/{bucket}/events"

_ABOUT = """
Headrace takes in what must have been **recorded**, acknowledges only what is durable, stores it once, and finds it
again.

Times are RFC 3339 in UTC. Errors are `application/problem+json` (RFC 9457). Absent fields are left out, never `null`.
Press *Authorize* and paste the key from `admin.key` in the data directory, or sign in with a user's password.
"""
_TAGS = [
    {"name": "Events", "description": "Record, search, count, watch and export."},
    {"name": "Buckets", "description": "Named sets of events, each with its own access and retention."},
    {"name": "Signing in", "description": "Registering, sessions, links in mail. Open to all; guessing is limited."},
    {"name": "Users", "description": "Who may sign in, and as what."},
    {"name": "API keys", "description": "Credentials of programs, each with grants of its own."},
    {"name": "Viewer tokens", "description": "Short-lived credentials that read one bucket under a fixed filter."},
    {"name": "Operations", "description": "How the server is doing; dead letters, backup and restore."},
]
_REASONS = {
    400: "The request cannot be parsed.",
    401: "Missing or bad credentials.",
    403: "Known, but not allowed.",
    404: "Not there, or not for you to see.",
    409: "Against the state of the thing.",
    410: "The link was used already, or it has expired.",
    413: "The body, or what it unpacks to, is too large.",
    415: "An unknown content type or encoding.",
    422: "Parsed, but not valid.",
    429: "Over your quota.",
    503: "Over our capacity, a dependency is down, or the outcome is unknown. Try again after `Retry-After`.",
}
_NAMES = {400: "Malformed", 401: "Unauthenticated", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Gone",
          413: "TooLarge", 415: "Unsupported", 422: "Invalid", 429: "OverQuota", 503: "Unavailable"}  # fmt: skip
_HEADERS: dict[int, Json] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
    503: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
}
_CONFLICTS = frozenset(("make_bucket", "backup", "restore", "make_user", "change_user", "change_me", "delete_user",
                        "make_setup_link"))
_LINKS = frozenset(("verify", "reset_password"))
_GUESSABLE = frozenset(("register", "login", "token", "refresh", "logout", "ask_password_reset", *_LINKS))
_BY_PASSWORD = frozenset(("login", "token"))
_NOT_THERE = frozenset(("list_dead_letters", "make_key", "make_viewer_token", "oidc_login", "oidc_callback"))
_SIGNED = frozenset((*_BY_PASSWORD, "metrics", "refresh", "logout", "oidc_callback"))
_SECURITY: Json = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, `hr_…`, or an access token."},
    "password": {
        "type": "oauth2",
        "description": "A user's name and password. Leave the client's fields empty.",
        "flows": {"password": {"tokenUrl": TOKEN_PATH, "scopes": {}}},
    },
}


def document(app: FastAPI) -> Json:
    """The whole OpenAPI document (3.1)."""
    found: Json = get_openapi(
        title="Headrace", version=app.version, description=_ABOUT, routes=app.routes, tags=_TAGS,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    found["security"] = [{"key": []}, {"password": []}]
    components: Json = found.setdefault("components", {})
    components["securitySchemes"] = _SECURITY
    components["responses"] = {name: _problem(status) for status, name in _NAMES.items()}
    schemas: Json = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _add_problem(schemas)
    schemas["NewEvent"] = _new_event()
    schemas["Accepted"] = _accepted()
    found["paths"].setdefault(WRITE_PATH, {})["post"] = _write_door()
    for path, operations in found["paths"].items():
        for operation in operations.values():
            _tell_answers(path, operation)
    tidy: Json = _without_noise(found)
    return tidy


def _tell_answers(path: str, operation: Json) -> None:
    """Every answer that this operation may give, besides those that it names itself."""
    responses: Json = operation["responses"]
    responses.pop("422", None)
    may = {503} | _own(path, operation["operationId"])
    if operation.get("security") != []:
        may |= {400, 401, 403, 429}
    if "requestBody" in operation:
        may |= {400, 413, 415, 422}
    for status in sorted(may):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{_NAMES[status]}"})


def _own(path: str, operation: str) -> set[int]:
    """What this one may answer and most others do not."""
    places: list[tuple[int, bool]] = [
        (400, operation == "oidc_login"),
        (401, operation in _SIGNED),
        (403, operation in _BY_PASSWORD or operation == "register"),
        (404, any(part in path for part in ("{bucket}", "{id}", "{user}")) or operation in _NOT_THERE),
        (409, operation in _CONFLICTS),
        (410, operation in _LINKS),
        (429, operation in _GUESSABLE or operation == "oidc_callback"),
    ]
    return {status for status, does in places if does}


def _problem(status: int) -> Json:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": _REASONS[status], "content": content} | (
        {"headers": _HEADERS[status]} if status in _HEADERS else {}
    )


def _add_problem(schemas: Json) -> None:
    made = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= made.pop("$defs", {})
    schemas["Problem"] = made


def _without_noise(node: Any) -> Any:
    """pydantic tells a `default: null` for what is merely absent, and a title for every field."""
    if isinstance(node, dict):
        return {
            key: _without_noise(value)
            for key, value in node.items()
            if not (key == "default" and value is None)
            and not (key == "title" and isinstance(value, str) and node.keys() & {"type", "anyOf", "$ref", "enum"})
        }
    return [_without_noise(value) for value in node] if isinstance(node, list) else node


# --- The write door -----------------------------------------------------------------------------------------------

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


def _text(most: int | None = None, **more: Any) -> Json:
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
                "properties": {"id": {"type": "string"}, "type": _text(), "name": _text()},
            },
            {"type": "null"},
        ],
    }


def _time() -> Json:
    return {
        "description": "RFC 3339 with an offset, or an epoch number: seconds, milli-, micro- or nanoseconds.",
        "anyOf": [
            {"type": "string", "pattern": f"^{MOMENT}$"},
            {"type": "number", "minimum": 0, "maximum": 9_214_646_399},
            {"type": "null"},
        ],
        "examples": ["2026-11-20T12:00:00.123Z"],
    }


def _new_event() -> Json:
    own: Json = {"id": {"type": "string"}, "dedup_key": {"type": "string"}}
    said = [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("message", "action")]
    return {
        "type": "object",
        "description": "All fields are optional, but one of `message` and `action` must be there. At most 256 KiB.",
        "additionalProperties": False,
        "anyOf": said,
        "properties": {
            "id": _text(pattern=UUID, description="Your own UUID; kept."),
            "dedup_key": _text(256, minLength=1, description="Instead of `id`: the same key gives the same id."),
            "time": _time(),
            "level": {"enum": [*LEVEL_NAMES, None], "default": "info", "description": "In any case."},
            "service": _text(),
            "action": _text(),
            "actor": _party(),
            "target": _party(),
            "outcome": {"enum": [*OUTCOMES, None]},
            "message": _text(),
            "attributes": {"type": ["object", "null"], "description": "Kept as it is: every digit, and the order."},
            "trace_id": _text(),
            "span_id": _text(),
        },
        "not": {"required": list(own), "properties": own},
    }


def _accepted() -> Json:
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


def _write_door() -> Json:
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

_WRITE_PARAMETERS: list[Json] = [
    {
        "name": "ack", "in": "query", "schema": {"enum": ["durable", "stored"], "default": "durable"},
        "description": "When to answer. `stored`: 201 once it can be queried; 202 after 10 s without that.",
    },
    {
        "name": "ids", "in": "query", "schema": {"type": "boolean", "default": True},
        "description": "`false` leaves the ids out of the answer to a batch.",
    },
    {
        "name": "Idempotency-Key", "in": "header",
        "schema": {"type": "string", "minLength": 1, "maxLength": 256},
        "description": "Makes the whole request safe to repeat: ids are derived from it.",
    },
    {
        "name": "Content-Encoding", "in": "header", "schema": {"enum": ["identity", "gzip", "deflate", "zstd"]},
        "description": "How the body is compressed.",
    },
]  # fmt: skip
