"""A word of `q` → SQL: a substring, in any case, of the message or of a scalar value in the attributes' JSON text.

The exact test of the JSON text is one regular expression that knows strings, keys and escapes. It runs in linear
time whatever the text (RE2), keeps every digit of a number, and accepts what DuckDB's JSON functions refuse or
choke on: they take gigabytes to list the values of 100,000 nested arrays. Cheap tests before it leave it few rows.
"""

from __future__ import annotations

import re
from functools import cache

from headrace.kit.text_case import lower
from headrace.model.query import Word

_MIN_RUN = 3  # characters; a shorter run occurs nearly everywhere

# Of a JSON text in lower case:
_STRING_PART = r'(?:[^"\\]|\\[^u]|\\u[0-9a-f]{4})*'  # an escape is taken whole, so that \u0041 holds no "0041"
_BEFORE = rf'^(?:[^"]|"{_STRING_PART}")*?'  # whole strings only, so that what follows is not inside one
_AFTER = r"\s*[,}\]]"  # where a key has a colon
_NUMBER_PART = r"[-+.0-9e]*"
_SHORT_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


def word_condition(word: Word) -> tuple[str, list[str]]:
    """SQL that is true or false (never NULL) for each event, and its parameters."""
    text = lower(word.text)
    if not text:
        return "true", []
    found, missing = ("false", "true") if word.negated else ("true", "false")
    if all(len(_variants(char)) == 1 for char in text):
        message, attributes, params = "contains(message, ?)", "contains(attributes, ?)", [text]
    else:
        message, attributes, params = "contains(lower(message), ?)", "contains(lower(attributes), ?)", [text]
        run = _caseless_run(text)
        if len(run) >= _MIN_RUN:  # lower() takes longer than all the rest
            message = f"contains(message, ?) AND {message}"
            attributes = f"contains(attributes, ?) AND {attributes}"
            params = [run, text]
    exact = f"{'NOT ' if word.negated else ''}regexp_matches(lower(attributes), ?)"
    pattern = value_pattern(text)
    # CASE, since only there the later tests are sure to run on no more rows than they must.
    sql = (
        f"CASE WHEN {message} THEN {found} WHEN {attributes} THEN {exact}"
        f" WHEN escaped THEN {exact} ELSE {missing} END"
    )
    return sql, [*params, *params, pattern, pattern]


@cache
def _upper_forms() -> dict[str, tuple[str, ...]]:
    """The characters that lower() turns into each."""
    forms: dict[str, tuple[str, ...]] = {}
    for point in range(0x1E944):  # the last scripts with two cases end here (Adlam)
        char = chr(point)
        if (small := lower(char)) != char:
            forms[small] = (*forms.get(small, ()), char)
    return forms


def _variants(char: str) -> tuple[str, ...]:
    return (char, *_upper_forms().get(char, ()))


def _caseless_run(text: str) -> str:
    """The longest part that reads the same in any case: found without lower(), which takes longer than the search."""
    runs = [""]
    for char in text:
        runs.append(runs[-1] + char if len(_variants(char)) == 1 else "")
    return max(runs, key=len)


def value_pattern(text: str) -> str:
    """RE2 for a JSON text in lower case in which a scalar value contains `text` (lower case too)."""
    inner = "".join(map(_char_pattern, text))
    kinds = [rf'"{_STRING_PART}{inner}{_STRING_PART}"{_AFTER}']
    if re.fullmatch(_NUMBER_PART, text):
        kinds.append(rf"[:,\[]\s*{_NUMBER_PART}{re.escape(text)}{_NUMBER_PART}{_AFTER}")
    kinds += [rf"[:,\[]\s*{literal}{_AFTER}" for literal in ("true", "false") if text in literal]
    return f"{_BEFORE}(?:{'|'.join(kinds)})"


@cache
def _char_pattern(char: str) -> str:
    """One character inside a JSON string, in each way it can be written."""
    ways = [] if char in '"\\' or char < " " else [re.escape(char)]
    if char in _SHORT_ESCAPES:
        ways.append(re.escape("\\" + _SHORT_ESCAPES[char]))
    ways += ["".join(rf"\\u{unit}" for unit in _utf16(variant)) for variant in _variants(char)]
    return f"(?:{'|'.join(ways)})"


def _utf16(char: str) -> list[str]:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return [units[start : start + 4] for start in range(0, len(units), 4)]
