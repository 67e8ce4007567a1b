"""The write doors for tasks in /openapi.json, which FastAPI cannot see."""

from __future__ import annotations

from typing import Any

from headrace.model.task import DEFAULT_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE
from headrace.tasks.wire import MAX_ATTEMPTS, MAX_KEY_BYTES
from headrace.web.openapi_events import ENCODING_PARAMETER, IDS_PARAMETER, text
from headrace.web.params import MOMENT

Json = dict[str, Any]
_BY_SCHEDULE = ("run_at", "delay", "idempotency_key")

_TASK = {"type": "add", "args": {"a": 5, "b": 10}}
_LATER = {"type": "report.monthly", "args": {"month": "2026-11"}, "queue": "reports", "delay": "10m", "priority": 3}
_LINES = '{"type": "add", "args": {"a": 5, "b": 10}}\n{"type": "add", "args": {"a": 1, "b": 2}, "priority": 9}\n'

_KEY: Json = {
    "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES},
    "description": "Where the body names no `idempotency_key`. In a batch each task has it with its place behind.",
}  # fmt: skip


def _duration(about: str, least: float, most: int) -> Json:
    return {
        "description": f"{about} Seconds, or `10s`, `5m`, `1h`.",
        "anyOf": [
            {"type": "number", "minimum": least, "maximum": most},
            {"type": "string", "pattern": "^[1-9][0-9]?[smh]$"},
            {"type": "null"},
        ],
        "examples": ["10m"],
    }


def _run_at() -> Json:
    return {
        "description": "Not before: RFC 3339, or an epoch number. Not with `delay`.",
        "anyOf": [
            {"type": "string", "pattern": f"^{MOMENT}$"},
            {"type": "number", "minimum": 0, "maximum": 9_214_646_399},
            {"type": "null"},
        ],
        "examples": ["2127-01-01T00:00:00Z"],
    }


def _retry() -> Json:
    seconds: Json = {"type": "number", "minimum": 0, "maximum": 604_800}
    return {
        "description": "After the n-th attempt the next comes after `first · factor^(n-1)` seconds, `longest` at most.",
        "anyOf": [
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "first": seconds | {"default": 1},
                    "factor": {"type": "number", "minimum": 1, "maximum": 100, "default": 2},
                    "longest": seconds | {"default": 600},
                },
            },
            {"type": "null"},
        ],
    }


def new_task() -> Json:
    """What is submitted."""
    both = {"run_at": {"type": ["string", "number"]}, "delay": {"type": ["string", "number"]}}
    return {
        "type": "object",
        "description": "Any `type` is taken; without a handler it waits for a worker over HTTP.",
        "additionalProperties": False,
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,128}$", "examples": ["add"]},
            "args": {"type": "object", "description": "Kept as it is: every digit, and the order. At most 256 KiB."},
            "queue": {"type": "string", "pattern": "^[a-z0-9_][a-z0-9._-]{0,62}$", "default": DEFAULT_QUEUE},
            "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": DEFAULT_PRIORITY,
                         "description": "9 comes first."},
            "run_at": _run_at(),
            "delay": _duration("In place of `run_at`: so long from now.", 0, 316_224_000),
            "max_attempts": {"type": ["integer", "null"], "minimum": 1, "maximum": MAX_ATTEMPTS,
                             "description": f"Absent: as its handler says, else {DEFAULT_ATTEMPTS}."},
            "timeout": _duration("For one attempt.", 0.001, 604_800),
            "retry": _retry(),
            "idempotency_key": text(MAX_KEY_BYTES, minLength=1,
                                    description="The same key and body again: 200 with the first task."),
            "concurrency_key": text(MAX_KEY_BYTES, minLength=1,
                                    description="Of your tasks with this key one runs at a time."),
            "callback_url": text(None, pattern="^https?://[a-z]{1,20}[.](com|net)/[a-z]{0,20}$",
                                 description="Gets the task, by POST, when it has ended."),
        },
        "not": {"required": list(both), "properties": both},
    }  # fmt: skip


def scheduled_task() -> Json:
    """What a schedule submits: when, and under which key, it says itself."""
    made = new_task()
    del made["not"]
    made["description"] = "As in `POST /v1/tasks`; when, and under which key, the schedule says."
    made["properties"] = {name: value for name, value in made["properties"].items() if name not in _BY_SCHEDULE}
    return made


def submit_task() -> Json:
    """`POST /v1/tasks`."""
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Task"}}}
    return {
        "tags": ["Tasks"],
        "summary": "Submit a task",
        "operationId": "submit_task",
        "description": (
            "Answered once it is durable: it will be run, whatever happens. Wrong `args` for a type that has a handler "
            "here are 422."
        ),
        "parameters": [_KEY, ENCODING_PARAMETER],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/NewTask"},
                    "examples": {
                        "now": {"summary": "Five and ten", "value": _TASK},
                        "later": {"summary": "Later, in a queue of its own", "value": _LATER},
                    },
                },
            },
        },
        "responses": {
            "200": {"description": "The first task of this idempotency key, as it is now.", "content": answer},
            "202": {"description": "Durable.", "content": answer},
        },
    }


def submit_tasks() -> Json:
    """`POST /v1/tasks/batch`."""
    task = {"$ref": "#/components/schemas/NewTask"}
    return {
        "tags": ["Tasks"],
        "summary": "Submit many tasks",
        "operationId": "submit_tasks",
        "description": (
            "An array, or lines (NDJSON). Each task is taken or refused for itself; only when every one is refused is "
            "the answer 422.\n\nAt most 16 MiB as sent, 64 MiB unpacked (an array 4 MiB), 100,000 tasks."
        ),
        "parameters": [IDS_PARAMETER, _KEY, ENCODING_PARAMETER],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "array", "minItems": 1, "maxItems": 100_000, "items": task},
                    "examples": {"several": {"summary": "A batch", "value": [_TASK, _LATER]}},
                },
                "application/x-ndjson": {
                    "schema": {"type": "string"},
                    "examples": {"lines": {"summary": "One task a line", "value": _LINES}},
                },
            },
        },
        "responses": {
            "202": {
                "description": "Those that were accepted are durable.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Accepted"}}},
            }
        },
    }
