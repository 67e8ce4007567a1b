"""The query parameters that several routes have, what else requests are documented with, and the list of filters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast, get_args

from headrace.model.event import LEVELS, OUTCOMES
from headrace.model.query import FACET_FIELDS, GroupField, Order
from headrace.web.param import Pairs, Param, any_text, moment, one_of, refusal, whole

# --- In the path and in headers -----------------------------------------------------------------------------------

UUID = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
EXAMPLE_ID = "01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e"  # of the example event in web/openapi_events.py, so that both work
BUCKET_PATH: dict[str, Any] = {
    "name": "bucket", "in": "path", "required": True, "description": "The bucket's name.", "example": "default",
    "schema": {"type": "string", "pattern": "^[a-z0-9_][a-z0-9._-]{0,62}$"},
}  # fmt: skip
EVENT_PATH: dict[str, Any] = {
    "name": "id", "in": "path", "required": True, "description": "The event's id.", "example": EXAMPLE_ID,
    "schema": {"type": "string", "format": "uuid"},
}  # fmt: skip
LAST_EVENT_ID: dict[str, Any] = {
    "name": "Last-Event-ID", "in": "header", "description": "The `id` of the last event that came: resumes after it.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}  # fmt: skip

READ_AFTER: dict[str, Any] = {
    "name": "Headrace-Read-After", "in": "header",
    "description": "The `Headrace-Position` of a 201: what answers has seen what was stored by then.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}  # fmt: skip

# --- Those that several routes have -------------------------------------------------------------------------------


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    if wrong := [name for name in names if name not in FACET_FIELDS]:
        raise ValueError(f"{wrong[0][:40]!r} is none of {', '.join(FACET_FIELDS)}")
    return names


MOST_ON_A_PAGE = 1_000
MOST_OFFSET = 10_000

_DAY = "(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-4]):[0-5][0-9])"
MOMENT = f"(19[7-9][0-9]|2[01][0-9]{{2}}|22[0-5][0-9])-{_DAY}T{_CLOCK}"
"""An RFC 3339 time, for the documentation (a little narrower than what is taken)."""
FUTURE_MOMENT = f"21[0-9]{{2}}-{_DAY}T{_CLOCK}"
"""One that is yet to come."""
_EPOCH = r"[0-9]{1,12}(\.[0-9]{1,6})?"
_TIME_SCHEMA = {"type": "string", "pattern": f"^({MOMENT}|{_EPOCH})$"}
TIME_OR_AGE = {"type": "string", "pattern": f"^({MOMENT}|{_EPOCH}|[0-9]{{1,4}}[smhdw])$"}

LIMIT = Param(
    "limit",
    whole(1, MOST_ON_A_PAGE),
    100,
    {"type": "integer", "minimum": 1, "maximum": MOST_ON_A_PAGE, "default": 100},
    "How many at most.",
)
CURSOR: Param[str | None] = Param(
    "cursor", any_text, None, {"type": "string"}, "`next_cursor` of the page before. Opaque."
)
OFFSET = Param(
    "offset",
    whole(0, MOST_OFFSET, "; use `cursor` to go further"),
    0,
    {"type": "integer", "minimum": 0, "maximum": MOST_OFFSET, "default": 0},
    "How many to skip: for people. Programs use `cursor`.",
)
ORDER: Param[Order] = Param(
    "order",
    cast("Callable[[str], Order]", one_of(*get_args(Order))),
    "desc",
    {"enum": ["desc", "asc"], "default": "desc"},
    "By time: newest first, or oldest first.",
)
INTERVAL = Param(
    "interval",
    any_text,
    "auto",
    {"type": "string", "pattern": r"^(auto|[1-9][0-9]{0,3}s|[1-9][0-9]{0,2}m|([1-9]|1[0-9]|2[0-4])h|1d)$"},
    "The width of a bar: `auto` (the default), or from `1s` to `1d`.",
    "1m",
)
BY: Param[GroupField | None] = Param(
    "by",
    cast("Callable[[str], GroupField | None]", one_of(*get_args(GroupField))),
    None,
    {"enum": ["level", "service", "action", "outcome"]},
    "Counts in each bar by this field as well.",
    "level",
)
FIELDS: Param[tuple[str, ...]] = Param(
    "fields",
    _names,
    (),
    {"type": "array", "minItems": 1, "items": {"enum": list(FACET_FIELDS)}},
    "Fields to count the values of, with commas between.",
    ["service", "actor"],
    required=True,
    extra={"style": "form", "explode": False},
)
MOST_FACETS = 1_000
FACET_LIMIT = Param(
    "limit",
    whole(1, MOST_FACETS),
    10,
    {"type": "integer", "minimum": 1, "maximum": MOST_FACETS, "default": 10},
    "How many values of each field.",
)
FORMAT = Param(
    "format", any_text, "ndjson", {"enum": ["ndjson", "csv", "parquet"], "default": "ndjson"}, "Of the file.", "csv"
)
CONFIRM: Param[str | None] = Param(
    "confirm", any_text, None, BUCKET_PATH["schema"], "The bucket's name once more.", "billing", required=True
)
LETTER_BUCKET: Param[str | None] = Param(
    "bucket", any_text, None, BUCKET_PATH["schema"], "Only those of this bucket.", "default"
)
LETTER_SINCE: Param[int | None] = Param(
    "since", moment, None, _TIME_SCHEMA, "Only those received at this time or later.", "2026-11-20T12:00:00Z"
)


def _filter(
    name: str, about: str, example: Any, schema: dict[str, Any] | None = None, repeated: bool = True
) -> Param[str]:
    """Read by query/filters, all together; here only to be known and documented."""
    return Param(name, str, "", schema or {"type": "string"}, about, example, repeated=repeated)


_LEVEL = {"enum": list(LEVELS)}
ATTRIBUTES = Param(
    "attr", str, "", {},
    "`attr.<path>=<value>`, for example `attr.ip=203.0.113.7`: the value at that path of the attributes; dots go down.",
    extra={
        "schema": {
            "type": "object",
            "propertyNames": {"pattern": r"^attr\.[a-z]+(\.[a-z]+)?$"},
            "additionalProperties": {"type": "string"},
        },
        "style": "form",
        "explode": True,
        "example": {"attr.ip": "203.0.113.7"},
    },
)  # fmt: skip
FILTERS: tuple[Param[Any], ...] = (
    _filter("since", "This time or later: RFC 3339, an epoch number, or an age such as `15m`, `24h`, `7d`.", "24h",
            TIME_OR_AGE, repeated=False),
    _filter("until", "Before this time.", "2026-11-21T00:00:00Z", TIME_OR_AGE, repeated=False),
    _filter("level", "Any of these levels.", ["error", "critical"], _LEVEL),
    _filter("min_level", "This level or a graver one.", "warning", _LEVEL, repeated=False),
    _filter("service", "Any of these services.", ["billing-api"]),
    _filter("action", "Any of these actions; `invoice.*` for all that begin with `invoice.`.", ["invoice.*"]),
    _filter("actor", "Any of these actors, by id.", ["user-1842"]),
    _filter("target", "Any of these targets, by id.", ["inv-99311"]),
    _filter("outcome", "Any of these outcomes.", ["success"], {"enum": list(OUTCOMES)}),
    _filter("trace_id", "Any of these traces.", ["4bf92f3577b34da6a3ce929d0e0e4736"]),
    _filter("q", 'Words that must occur in message or attributes; `"a phrase"`; `-without`.', ["invoice -refund"]),
    ATTRIBUTES,
)  # fmt: skip


def check_names(pairs: Pairs, known: frozenset[str], takes_attributes: bool) -> None:
    """Raises Malformed for a parameter that the route does not have: a misspelt filter must not widen a search."""
    for name, _ in pairs:
        if name not in known and not (takes_attributes and name.startswith(ATTRIBUTES.name + ".")):
            raise refusal(name, "unknown-parameter", "there is no such parameter here")
