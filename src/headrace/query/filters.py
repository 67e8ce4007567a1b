"""From query parameters to an EventFilter: the one place that knows the names and the spelling of every filter.

A new filter is a line in `_PARTS` (or a branch for a shape of its own), a field in EventFilter, and a condition in
each store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from headrace.errors import ItemError, Malformed
from headrace.kit.times import LATEST, from_datetime, parse_time_or_age
from headrace.model.event import LEVEL_NAMES, LEVELS, OUTCOMES
from headrace.model.query import ActionMatch, AttributeMatch, EventFilter, Word
from headrace.query.text import parse_text

MAX_VALUES = 100  # of one parameter
MAX_VALUE_BYTES = 1024
MAX_WORDS = 32  # in one q: each is a scan of its own
MAX_PATHS = 20
MAX_PATH_BYTES = 256

_ATTRIBUTE = "attr."
_END_OF_TIME = from_datetime(LATEST)

T = TypeVar("T")
_Parse: TypeAlias = Callable[[Sequence[str], int], object]
"""All values of a parameter, and µs since 1970 for ages, to what the filter holds. Raises ValueError with a reason."""


def is_filter_param(name: str) -> bool:
    """Whether `parse_filter` is responsible for a parameter of this name."""
    return name in _PARTS or name.startswith(_ATTRIBUTE)


def parse_filter(params: Iterable[tuple[str, str]], now: int) -> EventFilter:
    """The filter that all of `params` (name, value) make up; repeated names mean any of their values.

    `now` is µs since 1970, for ages. Raises Malformed, with an item for each parameter that is not good.
    """
    values: dict[str, list[str]] = {}
    for name, value in params:
        values.setdefault(name, []).append(value)
    parts: dict[str, Any] = {}
    attributes: list[AttributeMatch] = []
    errors: list[ItemError] = []
    for name, texts in values.items():
        try:
            _check_size(texts)
            if name.startswith(_ATTRIBUTE):
                attributes.append(_attribute(name, texts))
            else:
                field, parse = _part(name)
                parts[field] = parse(texts, now)
        except ValueError as exc:
            errors.append(ItemError("bad-filter", str(exc), field=name[:MAX_PATH_BYTES]))
    if len(attributes) > MAX_PATHS:
        errors.append(ItemError("bad-filter", f"at most {MAX_PATHS} attributes in one filter", field=_ATTRIBUTE))
    if errors:
        raise Malformed(f"The filter {errors[0].field!r} is not good: {errors[0].detail}.", items=errors)
    return EventFilter(**parts, attributes=tuple(attributes))


def _part(name: str) -> tuple[str, _Parse]:
    if name not in _PARTS:
        raise ValueError("there is no such filter")
    return _PARTS[name]


def _check_size(texts: Sequence[str]) -> None:
    if len(texts) > MAX_VALUES:
        raise ValueError(f"{len(texts)} values, where {MAX_VALUES} are the most")
    for text in texts:
        _check_text(text, MAX_VALUE_BYTES)


def _check_text(text: str, limit: int) -> None:
    """Control characters may be searched for, as log lines hold them; NUL and lone surrogates no event can hold."""
    if "\0" in text:
        raise ValueError("it holds the character NUL, which no event has")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        raise ValueError("it is not valid UTF-8") from exc
    if size > limit:
        raise ValueError(f"{size} bytes, where {limit} are the most")


def _each(parse: Callable[[str], T], texts: Sequence[str], _now: int) -> tuple[T, ...]:
    return tuple(dict.fromkeys(parse(text) for text in texts))


def _earliest(texts: Sequence[str], now: int) -> int | None:
    since = min(parse_time_or_age(text, now) for text in texts)
    return None if since <= 0 else min(since, _END_OF_TIME)


def _latest(texts: Sequence[str], now: int) -> int | None:
    until = max(parse_time_or_age(text, now) for text in texts)
    return None if until >= _END_OF_TIME else max(until, 0)


def _level(text: str) -> int:
    level = LEVEL_NAMES.get(text.strip().lower())
    if level is None:
        raise ValueError(f"{text[:64]!r} is not a level: write one of {', '.join(LEVELS)}")
    return level


def _min_level(texts: Sequence[str], _now: int) -> int:
    return min(_level(text) for text in texts)


def _outcome(text: str) -> str:
    outcome = text.strip().lower()
    if outcome not in OUTCOMES:
        raise ValueError(f"{text[:64]!r} is not an outcome: write one of {', '.join(OUTCOMES)}")
    return outcome


def _action(text: str) -> ActionMatch:
    return ActionMatch(text[:-1], prefix=True) if text.endswith("*") else ActionMatch(text)


def _texts(texts: Sequence[str], _now: int) -> tuple[tuple[Word, ...], ...]:
    parsed = [words for words in map(parse_text, texts) if words]
    if any(len(words) > MAX_WORDS for words in parsed):
        raise ValueError(f"at most {MAX_WORDS} words at once")
    return tuple(dict.fromkeys(parsed))


def _attribute(name: str, texts: Sequence[str]) -> AttributeMatch:
    path = name.removeprefix(_ATTRIBUTE)
    if not path:
        raise ValueError("write the attribute's path behind the dot, as in attr.ip=203.0.113.7")
    _check_text(path, MAX_PATH_BYTES)
    return AttributeMatch(path, tuple(dict.fromkeys(texts)))


_strings = partial(_each, str)

_PARTS: dict[str, tuple[str, _Parse]] = {
    "since": ("since", _earliest),
    "until": ("until", _latest),
    "level": ("levels", partial(_each, _level)),
    "min_level": ("min_level", _min_level),
    "service": ("services", _strings),
    "action": ("actions", partial(_each, _action)),
    "actor": ("actors", _strings),
    "target": ("targets", _strings),
    "outcome": ("outcomes", partial(_each, _outcome)),
    "trace_id": ("trace_ids", _strings),
    "q": ("texts", _texts),
}
"""Parameter → the field of EventFilter, and how its values are read."""
