"""The bodies of the doors of tasks, queues and schedules, as msgspec reads and publishes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from headrace.model.event import LEVELS
from headrace.model.schedule import CatchUp
from headrace.model.task import MAX_RESULT_BYTES, Status
from headrace.tasks.filters import MAX_VALUES, MAX_WORDS
from headrace.tasks.leasing import MAX_ERROR, MAX_PROGRESS_BYTES
from headrace.tasks.schedules import MAX_NAME
from headrace.web.json_body import SHOWN
from headrace.web.params import EXAMPLE_ID, FUTURE_MOMENT, TIME_OR_AGE

MOST_LEASED = 1_000
MOST_AT_ONCE = 1_000_000
MOST_LINES = 1_000  # of a log, with one request
_OBJECT = {"type": "object"}


def _shown(about: str, schema: dict[str, Any], *examples: Any) -> Meta:
    return Meta(description=about, examples=list(examples) or None, extra_json_schema={SHOWN: schema})


def _seconds(about: str, least: float, most: float, pattern: str, example: Any) -> Meta:
    number = {"type": "number", "minimum": least, "maximum": most}
    schema = {"anyOf": [number, {"type": "string", "pattern": pattern}]}
    return _shown(f"{about} Seconds, or `10s`, `5m`, `1h`.", schema, example)


def _whole(about: str, least: int, most: int) -> Meta:
    return _shown(about, {"type": "integer", "minimum": least, "maximum": most})


def _absent() -> Any:
    """Of a field that holds JSON: nothing, which no JSON is."""
    return msgspec.field(default_factory=Raw)


Seconds: TypeAlias = int | float | str
Whole: TypeAlias = int | float
"""4.0 is an integer to JSON Schema."""
Moment: TypeAlias = Annotated[
    int | float | str,
    _shown(
        "RFC 3339, or an epoch number.",
        {
            "anyOf": [
                {"type": "string", "pattern": f"^{FUTURE_MOMENT}$"},
                {"type": "number", "minimum": 0, "maximum": 9_214_646_399},
            ]
        },
        "2127-01-01T00:00:00Z",
    ),
]
Priority: TypeAlias = Annotated[Whole, _whole("9 comes first.", 0, 9)]
Lease: TypeAlias = Annotated[
    Whole | str,
    _shown(
        "The number of the lease, as it was told.",
        {"anyOf": [{"type": "string", "pattern": "^[0-9]{1,18}$"}, {"type": "integer"}]},
        "4711",
    ),
]
LeaseSeconds: TypeAlias = Annotated[
    Seconds,
    _seconds("How long to hold it without a heartbeat: 1 s to 1 h.", 1, 3_600, "^([1-9][0-9]?s|[1-5]?[1-9]m)$", 60),
]
Wait: TypeAlias = Annotated[
    Seconds, _seconds("How long to wait for a task: 60 s at most.", 0, 60, "^([1-5]?[0-9]|60)s$", "20s")
]
Later: TypeAlias = Annotated[
    Seconds, _seconds("When to try again: 7 d at most.", 0, 604_800, "^[1-9][0-9]?[smh]$", "5m")
]
Jitter: TypeAlias = Annotated[
    Seconds, _seconds("Each firing comes up to so much later.", 0, 86_400, "^[1-9][0-9]?[sm]$", "30s")
]


Args: TypeAlias = Annotated[Raw, _shown("In place of the old ones.", _OBJECT, {"a": 5, "b": 10})]
Attributes: TypeAlias = Annotated[Raw, _shown("Kept as it is.", {"type": ["object", "null"]}, {"page": 12})]
Progress: TypeAlias = Annotated[Raw, _shown(f"How far it is: JSON of {MAX_PROGRESS_BYTES} bytes at most.", {}, 0.5)]
Result: TypeAlias = Annotated[Raw, _shown(f"JSON of {MAX_RESULT_BYTES} bytes at most.", {}, 15)]
ScheduledTask: TypeAlias = Annotated[
    Raw,
    _shown(
        "What each firing submits.",
        {"$ref": "#/components/schemas/ScheduledTask"},
        {"type": "add", "args": {"a": 5, "b": 10}},
    ),
]


class Line(msgspec.Struct, forbid_unknown_fields=True):
    """What a worker says about its task: an event of the bucket `_tasks`."""

    message: Annotated[str, Meta(max_length=16_384, examples=["fetched 12 of 40"])]
    level: Annotated[str, _shown("In any case.", {"enum": list(LEVELS)})] = "info"
    attributes: Attributes = _absent()


Logs: TypeAlias = Annotated[list[Line], Meta(max_length=MOST_LINES, description="For the bucket `_tasks`.")]


class TaskChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is given changes."""

    args: Args = _absent()
    priority: Priority | UnsetType = UNSET
    run_at: Moment | UnsetType | None = UNSET


Types: TypeAlias = Annotated[
    list[Annotated[str, Meta(min_length=1, max_length=128)]],
    Meta(min_length=1, max_length=MAX_VALUES, description="Only tasks of these types.", examples=[["word.count"]]),
]


class LeaseAsked(msgspec.Struct, forbid_unknown_fields=True):
    max: Annotated[Whole, _whole("How many at most.", 1, MOST_LEASED)] = 1
    lease_seconds: LeaseSeconds = 60
    wait: Wait = 0
    types: Types | UnsetType = UNSET


class Heartbeat(msgspec.Struct, forbid_unknown_fields=True):
    lease: Lease
    lease_seconds: LeaseSeconds = 60
    progress: Progress = _absent()
    logs: Logs = []


class Completion(msgspec.Struct, forbid_unknown_fields=True):
    lease: Lease
    result: Result = _absent()
    logs: Logs = []


Said: TypeAlias = Annotated[
    str, Meta(min_length=1, description=f"What happened; {MAX_ERROR} characters are kept.", examples=["no such user"])
]


class Failure(msgspec.Struct, forbid_unknown_fields=True):
    lease: Lease
    error: Said
    permanent: Annotated[bool, Meta(description="Whether another attempt would end alike.")] = False
    retry_after: Later | UnsetType = UNSET
    logs: Logs = []


class Release(msgspec.Struct, forbid_unknown_fields=True):
    lease: Lease


AtOnce: TypeAlias = Annotated[Whole, _whole("How many of it run at once.", 1, MOST_AT_ONCE)]
PerSecond: TypeAlias = Annotated[
    float, Meta(ge=0.001, le=1_000_000, description="How many of it are begun a second.", examples=[10])
]


class QueueChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is given changes; `null` takes a limit away."""

    paused: Annotated[bool, Meta(description="Nothing of it is begun.")] | UnsetType = UNSET
    concurrency: AtOnce | UnsetType | None = UNSET
    rate_limit: PerSecond | UnsetType | None = UNSET


def _any_of(
    schema: dict[str, Any], *examples: Any, most: int = MAX_VALUES, about: str = "One, or several: any of them."
) -> Meta:
    several = {"type": "array", "items": schema, "minItems": 1, "maxItems": most}
    return _shown(about, {"anyOf": [schema, several]}, *examples)


_WORD = {"type": "string", "minLength": 1, "maxLength": 256}
Statuses: TypeAlias = Annotated[str | list[str], _any_of({"enum": list(Status)}, ["failed", "dead"])]
Words: TypeAlias = Annotated[str | list[str], _any_of(_WORD)]
Texts: TypeAlias = Annotated[str | list[str], _any_of(_WORD, most=MAX_WORDS, about="One, or several: each must occur.")]
When: TypeAlias = Annotated[
    str | int | float, _shown("As in the list of tasks.", {"anyOf": [TIME_OR_AGE, {"type": "number"}]}, "24h")
]


Owner: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256, description="By id.", examples=[EXAMPLE_ID])]


class Filter(msgspec.Struct, forbid_unknown_fields=True):
    """As the list of tasks has it in its query string."""

    status: Statuses | UnsetType = UNSET
    type: Words | UnsetType = UNSET
    queue: Words | UnsetType = UNSET
    owner: Owner | UnsetType = UNSET
    q: Texts | UnsetType = UNSET
    since: When | UnsetType = UNSET
    until: When | UnsetType = UNSET


class BulkAsked(msgspec.Struct, forbid_unknown_fields=True):
    action: Annotated[Literal["cancel", "retry"], Meta(description="What to do with each.", examples=["retry"])]
    filter: Filter


Name: TypeAlias = Annotated[
    str,
    _shown(
        "Of your schedules one has it.",
        {"type": "string", "pattern": f"^[A-Za-z0-9 ._-]{{0,{MAX_NAME - 1}}}[a-z]$"},
        "nightly",
    ),
]
Cron: TypeAlias = Annotated[
    str,
    Meta(max_length=256),
    _shown(
        "Minute, hour, day, month, weekday.",
        {"type": "string", "pattern": r"^(\*|[1-5]?[0-9]) (\*|1?[0-9]) (\*|1?[1-9]) \* (\*|[0-6])$"},
        "30 3 * * *",
    ),
]
Zone: TypeAlias = Annotated[
    str,
    Meta(max_length=64),
    _shown("Of the IANA database.", {"enum": ["UTC", "Europe/Berlin", "America/New_York"]}, "Europe/Berlin"),
]
Catch: TypeAlias = Annotated[CatchUp, Meta(description="What becomes of firings that were missed.")]


class NewSchedule(msgspec.Struct, forbid_unknown_fields=True):
    name: Name
    cron: Cron
    task: ScheduledTask
    timezone: Zone = "UTC"
    jitter: Jitter = 0
    catch_up: Catch = CatchUp.LAST
    enabled: bool = True


class ScheduleChange(msgspec.Struct, forbid_unknown_fields=True):
    """What is given changes."""

    name: Name | UnsetType = UNSET
    cron: Cron | UnsetType = UNSET
    task: ScheduledTask = _absent()
    timezone: Zone | UnsetType = UNSET
    jitter: Jitter | UnsetType = UNSET
    catch_up: Catch | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
