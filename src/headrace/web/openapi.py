"""The document at /openapi.json: what FastAPI finds out by itself, the write doors that it cannot see, and every answer
that a door may give."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from headrace.web import openapi_events, openapi_tasks
from headrace.web.api.auth import TOKEN_PATH
from headrace.web.schemas import Problem
from headrace.web.write_events import EVENTS_ROUTE
from headrace.web.write_tasks import BATCH_ROUTE, TASKS_ROUTE

Json = dict[str, Any]

_ABOUT = """
Headrace takes in what must have been **recorded**, acknowledges only what is durable, stores it once, and finds it
again.

Times are RFC 3339 in UTC. Errors are `application/problem+json` (RFC 9457). Absent fields are left out, never `null`.
Press *Authorize* and paste the key from `admin.key` in the data directory, or sign in with a user's password.
"""
_TAGS = [
    {"name": "Events", "description": "Record, search, count, watch and export."},
    {"name": "Tasks", "description": "Work that must be done: submit, watch, run from any language, schedule."},
    {"name": "Buckets", "description": "Named sets of events, each with its own access and retention."},
    {"name": "Signing in", "description": "Registering, sessions, links in mail. Open to all; guessing is limited."},
    {"name": "Users", "description": "Who may sign in, and as what."},
    {"name": "API keys", "description": "Credentials of programs, each with grants of its own."},
    {"name": "Viewer tokens", "description": "Short-lived credentials that read one bucket under a fixed filter."},
    {"name": "Operations", "description": "How the server is doing; dead letters, backup and restore."},
]
_WRITE_DOORS = {
    EVENTS_ROUTE: openapi_events.write_events,
    TASKS_ROUTE: openapi_tasks.submit_task,
    BATCH_ROUTE: openapi_tasks.submit_tasks,
}
_REASONS = {
    400: "The request cannot be parsed.",
    401: "Missing or bad credentials.",
    403: "Known, but not allowed.",
    404: "Not there, or not for you to see.",
    409: "Against the state of the thing.",
    410: "The link was used already, or it has expired; the file of an export is gone.",
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
                        "make_setup_link", "change_task", "cancel_task", "retry_task", "delete_task", "heartbeat",
                        "complete_task", "fail_task", "release_task", "make_schedule", "change_schedule",
                        "download_export"))
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
    schemas["NewEvent"], schemas["Accepted"] = openapi_events.new_event(), openapi_events.accepted()
    schemas["NewTask"], schemas["ScheduledTask"] = openapi_tasks.new_task(), openapi_tasks.scheduled_task()
    for path, write_door in _WRITE_DOORS.items():
        found["paths"].setdefault(path, {})["post"] = write_door()
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
        (410, operation in _LINKS or operation == "download_export"),
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
