"""`attr.<path>=<value>` → SQL: what the index on jsonb finds, made exact, or a slow test where there is no jsonb.

jsonb forgets how a number was written, and a larger value contains a smaller one: the rows found are looked at again.
"""

from __future__ import annotations

import json
import re
from itertools import product

from headrace.kit.dotted_path import readings
from headrace.model.query import AttributeMatch

JSONB = "(CASE WHEN indexable THEN attributes::jsonb END)"
"""As the index has it. CASE, since a lossy bitmap makes the server test rows of the page that are not in the index."""

_RAW = "(CASE WHEN indexable THEN attributes::json END)"
_IS_FRACTION = f"{_RAW} #>> %s ~ '[.eE]'"
_IS_WRITTEN = f"{_RAW} #>> %s = %s"
_IS_EQUAL = f"{JSONB} #> %s = %s"
_MAX_PLACES = 3  # numbers in a path that may be places in arrays as well as keys: up to 8 readings of each
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?P<fraction>(?:\.\d+)?(?:[eE][-+]?\d+)?)", re.ASCII)
_PLACE = re.compile(r"(?:0|[1-9]\d{0,8})", re.ASCII)
_ABSURD = re.compile(r"[eE][-+]?\d{4}|.{1000}", re.DOTALL)  # rows with such numbers are not indexable either
_CONTAINER = ("{", "[", '"')

# The text is there as it is, or something is written with an escape: a tenth of the cost of a cast to jsonb.
_GUARD = "strpos(attributes, %s) > 0"
_ESCAPED = r"strpos(attributes, '\') > 0"

Keys = list[str]
Test = tuple[str, list[str | Keys]]


def attribute_condition(match: AttributeMatch) -> tuple[str, *tuple[str | Keys, ...]]:
    """SQL that holds where a value at the path is any of `match.values`, and its parameters.

    A number that is not an integer is equal to another way to write it.
    """
    ways = readings(match.path)
    indexed = [test for value in match.values for keys in ways for test in _indexed(keys, value)]
    slow = [_slow(keys, value) for value in match.values for keys in ways]
    if not indexed:
        return ("false",)
    tests = [*indexed, *slow]
    sql = f"{_any(indexed)} OR (NOT indexable AND ({_any(slow)}))"
    if not any(value.startswith(_CONTAINER) or _is_fraction(value) for value in match.values):
        guards = [_GUARD] * len(match.values)
        sql = f"{_surely(' OR '.join((*guards, _ESCAPED)))} AND ({sql})"
        tests = [("", list(match.values)), *tests]
    return (sql, *(param for _, params in tests for param in params))


def _is_fraction(value: str) -> bool:
    number = _NUMBER.fullmatch(value)
    return number is not None and bool(number["fraction"])


def _any(tests: list[Test]) -> str:
    return " OR ".join(sql for sql, _ in tests)


def _indexed(keys: Keys, value: str) -> list[Test]:
    """A test for each type that the value may have, and for each number in the path that may be a place in an array."""
    places = [(False, True) if _PLACE.fullmatch(key) else (False,) for key in keys]
    if sum(map(len, places)) - len(keys) > _MAX_PLACES:
        places = [(False,)] * len(keys)
    return [test for kinds in product(*places) for test in _typed(keys, kinds, value)]


def _typed(keys: Keys, kinds: tuple[bool, ...], value: str) -> list[Test]:
    """`kinds` tells which of the keys are places in arrays: containment finds them at any place."""
    in_array = any(kinds)
    tests = [_test(keys, kinds, json.dumps(value, ensure_ascii=False), in_array)]
    number = _NUMBER.fullmatch(value)
    if value in ("true", "false", "null"):
        tests.append(_test(keys, kinds, value, in_array))
    elif number and not _ABSURD.search(value) and number["fraction"]:
        sql, params = _test(keys, kinds, value, in_array)
        tests.append((f"({sql} AND {_surely(_IS_FRACTION)})", [*params, keys]))
    elif number and not _ABSURD.search(value):
        sql, params = _test(keys, kinds, value, False)
        tests.append((f"({sql} AND {_surely(_IS_WRITTEN)})", [*params, keys, value]))
    elif value.startswith(_CONTAINER) and _is_sound(value):
        tests.append(_test(keys, kinds, value, in_array or not value.startswith('"')))
    return tests


def _test(keys: Keys, kinds: tuple[bool, ...], value: str, exact: bool) -> Test:
    """That the JSON text `value` is there; `exact` where containment alone would find more."""
    document = value
    for key, is_place in zip(reversed(keys), reversed(kinds), strict=True):
        document = f"[{document}]" if is_place else f"{{{json.dumps(key, ensure_ascii=False)}:{document}}}"
    sql, params = f"{JSONB} @> %s", list[str | Keys]([document])
    return (f"({sql} AND {_surely(_IS_EQUAL)})", [*params, keys, value]) if exact else (sql, params)


def _surely(test: str) -> str:
    """The same test; the planner takes it for nearly always true, where it would take an `=` for seldom."""
    return f"nullif({test}, false) IS NOT NULL"


def _slow(keys: Keys, value: str) -> Test:
    """As it is written, whatever type it has."""
    return "%s = ANY(headrace_attribute(attributes, %s))", [value, keys]


def _is_sound(value: str) -> bool:
    """Whether it is JSON that can be cast to jsonb."""
    try:
        found = json.loads(value, parse_int=_sound_number, parse_float=_sound_number, parse_constant=_refuse)
        return "\\u0000" not in json.dumps(found) and bool(json.dumps(found, ensure_ascii=False).encode())
    except (ValueError, RecursionError):
        return False


def _sound_number(text: str) -> str:
    return _refuse(text) if _ABSURD.search(text) else text


def _refuse(text: str) -> str:
    raise ValueError(f"{text[:20]} is beyond what jsonb holds")
