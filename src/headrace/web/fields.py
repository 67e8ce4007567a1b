"""The kinds of fields in bodies of identity: how each is read, and how it is published.

What is secret comes in as SecretStr, so that no repr, log line or error can hold it. The published schemas are a little
narrower than what is taken; the features decide, and say why not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr, StrictInt, StrictStr, WithJsonSchema

from headrace.kit.times import LATEST, SECOND, from_datetime, parse_duration, parse_time
from headrace.model.principal import Permission
from headrace.web.params import FUTURE_MOMENT
from headrace.web.schemas import whole


def _by(read: Callable[[str], int], what: str) -> Callable[[object], int]:
    def parsed(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise ValueError(f"must be {what}")  # noqa: TRY004 - pydantic answers for ValueError
        try:
            return read(str(value))
        except (ValueError, OverflowError):
            raise ValueError(f"must be {what}") from None

    return parsed


def _seconds(text: str) -> int:
    return parse_duration(text) // SECOND


def _time(text: str) -> int:
    us = parse_time(text)
    if not 0 <= us < from_datetime(LATEST):
        raise ValueError("out of range")
    return us


Username = Annotated[
    StrictStr,
    Field(max_length=256, examples=["ada"]),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{1,62}$", "examples": ["ada"]}),
]
Email = Annotated[
    StrictStr,
    Field(max_length=1_024),
    WithJsonSchema({
        "type": "string",
        "format": "email",
        "pattern": r"^[a-z0-9]{1,30}@[a-z]{1,30}\.(com|net|org)$",  # of all addresses those that anyone would take
        "examples": ["ada@example.com"],
    }),
]
NewPassword = Annotated[
    SecretStr,
    Field(
        max_length=4_096, description="10 to 1,024 bytes, not one of the most common, not the username.",
        json_schema_extra={"minLength": 10, "maxLength": 1_024},
    ),
]  # fmt: skip
Secret = Annotated[SecretStr, Field(min_length=1, max_length=4_096)]
PersonName = Annotated[
    StrictStr,
    Field(max_length=1_024),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z' .-]{0,100}$", "examples": ["Ada"]}),  # or other letters
]
KeyName = Annotated[
    StrictStr,
    Field(max_length=1_024),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}$", "examples": ["billing"]}),
]
FutureTime = Annotated[
    int,
    BeforeValidator(_by(_time, "an RFC 3339 time with its offset, or an epoch number, before 2262")),
    WithJsonSchema({
        "description": "RFC 3339, or an epoch number; to come.",
        "type": "string",
        "pattern": f"^{FUTURE_MOMENT}$",
        "examples": ["2127-01-01T00:00:00Z"],
    }),
]
Lifetime = Annotated[
    int,
    BeforeValidator(_by(_seconds, "seconds, or a duration such as 10m or 1h")),
    WithJsonSchema({
        "description": "Seconds, or `10m`, `1h`; a day at most.",
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 86_400},
            {"type": "string", "pattern": "^([1-9][0-9]?[sm]|1?[1-9]h)$"},
        ],
        "examples": ["10m"],
    }),
]
RateLimit = Annotated[StrictInt, Field(ge=1, le=10**9), BeforeValidator(whole)]
Permissions = Annotated[list[Permission], Field(min_length=1, max_length=10, examples=[["read", "write"]])]
