"""`attr.<path>=<value>` → SQL. TRY keeps one odd row (JSON that DuckDB refuses) from failing the whole query."""

from __future__ import annotations

import re

from headrace.kit.dotted_path import readings
from headrace.model.query import AttributeMatch

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
_CONTAINER = ("{", "[", '"')


def attribute_condition(match: AttributeMatch) -> tuple[str, *tuple[str, ...]]:
    """SQL that holds where a value at the path is any of `match.values`, and its parameters.

    A number that is not an integer is equal to another way to write it (DuckDB reads both as doubles).
    """
    parts: list[str] = []
    params: list[str] = []
    for value in match.values:
        tests = [_test(pointer, value) for pointer in json_pointers(match.path)]
        either = " OR ".join(sql for sql, _ in tests)
        guard, guards = _guard(value)
        parts.append(f"CASE WHEN {guard} THEN {either} ELSE false END")
        params += [*guards, *(param for _, own in tests for param in own)]
    return (" OR ".join(parts) or "false", *params)


def json_pointers(path: str) -> list[str]:
    """RFC 6901 pointers for each way to read the dots."""
    return ["".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys) for keys in readings(path)]


def _guard(value: str) -> tuple[str, list[str]]:
    """A cheap test that every match passes: the text is there as it is, or something is written with an escape."""
    if value.startswith(_CONTAINER):
        return "attributes IS NOT NULL", []  # may be spaced in another way
    return "contains(attributes, ?) OR escaped", [value]


def _test(pointer: str, value: str) -> tuple[str, list[str]]:
    content = "TRY(json_extract_string(attributes, ?))"
    tests = [f"{content} = ?"]
    params = [pointer, value]
    if value.startswith(_CONTAINER) or value == "null":
        tests.append("TRY(json_extract(attributes, ?))::VARCHAR = ?")
        params += [pointer, value]
    elif not value.lstrip("-").isdigit() and _NUMBER.fullmatch(value):
        tests.append(f"{content} = json_extract_string(?, '$')")
        params += [pointer, value]
    return f"coalesce({' OR '.join(tests)}, false)", params
