"""What `q` looks through, as the column `search` has it: parts in lower case, each ended by U+001F.

A word is then a plain substring, which the trigram index finds. Parts are the message and every scalar value of the
attributes: never a key, strings unescaped, numbers, true and false as they are written; null is no value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from headrace.kit.text_case import lower

END = "\x1f"
"""Ends each part, so that no word is found across two of them."""

_INNER_END = "A"
"""A U+001F inside of a part: in lower case, no other character is this one."""

_DEEP = 1_000  # brackets; PostgreSQL's parser of JSON has a stack, and we stay far from its end
_LONG = 1_000  # digits
_ABSURD = re.compile(rf"[eE][-+]?[0-9]{{4}}|[-+.0-9eE]{{{_LONG}}}")  # jsonb's numbers end at 10^131072
_EXPONENTS = [re.compile(letter + r"[-+]?[0-9]{4}") for letter in "eE"]  # apart: a first letter is searched for fast

# Each match begins where the one before it ended: what is no value, then a value, or nothing at the very end. An atomic
# group, and no possessive repeats: in Python 3.11.2 (Debian 12) those take a string that is a value for a key.
_VALUE = re.compile(r'(?>[\s,{}\[\]]*(?:(?:"[^"]*"\s*:|null)[\s,{}\[\]]*)*)("[^"]*"|[^\s",{}\[\]]+|)')
_SCALAR = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|(-?[0-9][-+.0-9eE]*|true|false)', re.DOTALL)


def searched(message: str | None, attributes: str | None) -> tuple[str, bool]:
    """The column's value, and whether the attributes (an object's JSON text) can be cast to jsonb."""
    parts = [] if message is None else [message]
    if attributes is None:
        return joined(parts), True
    shallow = len(attributes) <= _DEEP or attributes.count("{") + attributes.count("[") <= _DEEP
    if "\\" in attributes:
        more, sound = _unescaped_parts(attributes)
        return joined(parts + more), sound and shallow
    values = _VALUE.findall(attributes)
    while values and not values[-1]:
        values.pop()
    sound = shallow and not _is_absurd(attributes, values)
    text = END.join((*parts, END.join(values).replace('"', ""))) + END if values else joined(parts)
    if text.count(END) > len(parts) + len(values):
        return joined(parts + [value.strip('"') for value in values]), sound
    return lower(text), sound


def folded(text: str) -> str:
    """A part, or a word to be found in one."""
    text = lower(text)
    return text.replace(END, _INNER_END) if END in text else text


def joined(parts: Sequence[str]) -> str:
    """The column's value."""
    if not parts:
        return ""
    text = END.join(parts) + END
    if text.count(END) > len(parts):
        return END.join(map(folded, parts)) + END
    return lower(text)


def _is_absurd(attributes: str, values: Iterable[str]) -> bool:
    """Whether one of the numbers is too much for jsonb. Strings are in quotes."""
    if len(attributes) < _LONG and not any(exponent.search(attributes) for exponent in _EXPONENTS):
        return False
    return any(_ABSURD.search(value) for value in values if value[0] != '"')


def _unescaped_parts(attributes: str) -> tuple[list[str], bool]:
    """The values where something is escaped, and whether they all are sound."""
    parts: list[str] = []
    sound = True
    for text, key, literal in _SCALAR.findall(attributes):
        if literal:
            parts.append(literal)
            sound = sound and not _ABSURD.search(literal)
            continue
        value = _unescaped(text) if "\\" in text else text
        sound = sound and value is not None
        if not key:
            parts.append(text if value is None else value)
    return parts, sound


def _unescaped(text: str) -> str | None:
    """None for what is refused at the door, since the server has no such text: NUL, and half a surrogate pair."""
    try:
        value: str = json.loads(f'"{text}"', strict=False)
        value.encode()
    except (ValueError, UnicodeError):
        return None
    return None if "\0" in value else value
