"""Parameters of the doors of tasks, and how the fields of their bodies are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import Request

from headrace.errors import Invalid, ItemError, Malformed
from headrace.kit.times import SECOND, parse_duration
from headrace.model.event import LEVEL_NAMES, LEVELS
from headrace.model.task import Status, TaskFilter
from headrace.services import Services
from headrace.tasks.filters import NAMES, parse_filter
from headrace.tasks.leasing import LogLine
from headrace.tasks.wire import moment
from headrace.web.bodies_tasks import Filter, Line
from headrace.web.json_body import field_error
from headrace.web.param import Param, pairs_of
from headrace.web.params import EXAMPLE_ID, TIME_OR_AGE

MOST_WAIT = 60.0
MAX_ATTRIBUTES_BYTES = 64 * 1024  # of one line of a log

TASK_PATH: dict[str, Any] = {
    "name": "id", "in": "path", "required": True, "description": "The task's id.", "example": EXAMPLE_ID,
    "schema": {"type": "string", "format": "uuid"},
}  # fmt: skip
QUEUE_PATH: dict[str, Any] = {
    "name": "queue", "in": "path", "required": True, "description": "The queue's name.", "example": "default",
    "schema": {"type": "string", "pattern": "^[a-z0-9_][a-z0-9._-]{0,62}$"},
}  # fmt: skip
SCHEDULE_PATH = TASK_PATH | {"description": "The schedule's id."}


def seconds_of(text: str) -> float:
    """Raises ValueError."""
    try:
        return parse_duration(text) / SECOND
    except OverflowError:
        raise ValueError("is too long") from None


def _wait(text: str) -> float:
    seconds = seconds_of(text)
    if seconds > MOST_WAIT:
        raise ValueError(f"must be {MOST_WAIT:.0f} seconds at most")
    return seconds


WAIT = Param(
    "wait", _wait, 0.0, {"type": "string", "pattern": "^([1-5]?[0-9]|60)s?$"},
    "For so long the answer waits until the task has ended: 60 s at most.", "10s",
)  # fmt: skip


def _filter(name: str, about: str, example: Any, schema: dict[str, Any] | None = None, repeated: bool = True) -> Any:
    """Read by tasks/filters, all together."""
    return Param(name, str, "", schema or _TEXT, about, example, repeated=repeated)


_TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
TASK_FILTERS: tuple[Param[Any], ...] = (
    _filter("status", "In any of these states.", ["failed", "dead"], {"enum": [status.value for status in Status]}),
    _filter("type", "Of any of these types.", ["add"]),
    _filter("queue", "In any of these queues.", ["default"]),
    _filter("owner", "Of this user, by id.", EXAMPLE_ID, repeated=False),
    _filter("q", "Each must occur, in any case, in the type, the args, the result or the error.", ["invoice"]),
    _filter("since", "Made at this time or later: RFC 3339, an epoch number, or an age such as `24h`.", "24h",
            TIME_OR_AGE, repeated=False),
    _filter("until", "Made before this time.", "2027-01-01T00:00:00Z", TIME_OR_AGE, repeated=False),
)  # fmt: skip


def filter_of(request: Request, services: Services) -> TaskFilter:
    """That of the query string. Raises Malformed, with an item for each parameter that is not good."""
    return parse_filter([pair for pair in pairs_of(request) if pair[0] in NAMES], services.clock.now())


def filter_in(body: Filter, services: Services) -> TaskFilter:
    """That of a body. Raises Invalid."""
    pairs: list[tuple[str, str]] = []
    for name, value in msgspec.structs.asdict(body).items():
        if value == []:
            raise field_error(f"filter.{name}", "must name at least one, or be left out")
        if value is not msgspec.UNSET:
            pairs += [(name, str(one)) for one in (value if isinstance(value, list) else [value])]
    try:
        return parse_filter(pairs, services.clock.now())
    except Malformed as exc:
        items = [ItemError(item.code, item.detail, field=f"filter.{item.field}") for item in exc.items]
        raise Invalid(exc.detail, items=items) from exc


# --- Fields of bodies ---------------------------------------------------------------------------------------------


def seconds(field: str, value: str | float, least: float, most: float) -> float:
    """Raises Invalid."""
    try:
        found = seconds_of(value) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        found = -1.0
    if not least <= found <= most:
        raise field_error(field, f"must be {least:g} to {most:g} seconds, or a duration such as 10s or 5m")
    return found


def whole(field: str, value: float, least: int, most: int) -> int:
    """Raises Invalid."""
    if not least <= value <= most or value != int(value):
        raise field_error(field, f"must be a whole number from {least} to {most}")
    return int(value)


def time(field: str, value: str | float) -> int:
    """µs since 1970. Raises Invalid."""
    found = moment(value)
    if found is None:
        raise field_error(field, "must be an RFC 3339 time with its offset, or an epoch number")
    return found


def lease(value: float | str) -> int:
    """The number. Raises Invalid for what no lease was ever told with."""
    if isinstance(value, str):
        good = value.isascii() and value.isdigit() and len(value) < 20
    else:
        good = isinstance(value, int) or value.is_integer()
    if not good:
        raise field_error("lease", "must be the number that the lease was told with")
    return int(value)


def log_lines(lines: Sequence[Line]) -> list[LogLine]:
    """Raises Invalid."""
    return [_log_line(index, line) for index, line in enumerate(lines)]


def _log_line(index: int, line: Line) -> LogLine:
    level = LEVEL_NAMES.get(line.level.lower())
    if level is None:
        raise field_error(f"logs[{index}].level", f"must be one of {', '.join(LEVELS)}")
    attributes = bytes(line.attributes)
    if attributes == b"null":
        attributes = b""
    if attributes and attributes[:1] != b"{":
        raise field_error(f"logs[{index}].attributes", "must be a JSON object")
    if len(attributes) > MAX_ATTRIBUTES_BYTES:
        raise field_error(f"logs[{index}].attributes", f"may have {MAX_ATTRIBUTES_BYTES} bytes as JSON")
    return LogLine(line.message, LEVELS[level], attributes)
