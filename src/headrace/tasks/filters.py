"""From what clients write to a TaskFilter: the same names in the query string, in a bulk action, and in the console."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from headrace.errors import ItemError, Malformed
from headrace.kit.times import LATEST, from_datetime, parse_time_or_age
from headrace.model.task import Status, TaskFilter

MAX_VALUES = 100  # of one parameter
MAX_TEXT = 256
MAX_WORDS = 16  # of `q`: each is looked for by itself
_END_OF_TIME = from_datetime(LATEST)
_Parse = Callable[[Sequence[str], int], object]


def parse_filter(params: Iterable[tuple[str, str]], now: int) -> TaskFilter:
    """The filter that all of `params` (name, value) make up; repeated names mean any of their values, but for `q`, of
    which each must occur. `now` is for ages. Raises Malformed, with an item for each parameter that is not good."""
    values: dict[str, list[str]] = {}
    for name, value in params:
        values.setdefault(name, []).append(value)
    parts: dict[str, Any] = {}
    errors: list[ItemError] = []
    for name, texts in values.items():
        try:
            _check(texts)
            field, parse = _part(name)
            parts[field] = parse(texts, now)
        except ValueError as exc:
            errors.append(ItemError("bad-filter", str(exc), field=name[:MAX_TEXT]))
    if errors:
        raise Malformed(f"The filter {errors[0].field!r} is not good: {errors[0].detail}.", items=errors)
    return TaskFilter(**parts)


def _part(name: str) -> tuple[str, _Parse]:
    if name not in _PARTS:
        raise ValueError("there is no such filter")
    return _PARTS[name]


def _check(texts: Sequence[str]) -> None:
    if len(texts) > MAX_VALUES:
        raise ValueError(f"{len(texts)} values, where {MAX_VALUES} are the most")
    for text in texts:
        if not 0 < len(text) <= MAX_TEXT or "\0" in text:
            raise ValueError(f"must be 1 to {MAX_TEXT} characters, and no NUL")
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise ValueError("it is not valid UTF-8")


def _statuses(texts: Sequence[str], _now: int) -> tuple[Status, ...]:
    known = {status.value: status for status in Status}
    for text in texts:
        if text not in known:
            raise ValueError(f"{text[:40]!r} is none of {', '.join(known)}")
    return tuple(dict.fromkeys(known[text] for text in texts))


def _texts(texts: Sequence[str], _now: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def _words(texts: Sequence[str], _now: int) -> tuple[str, ...]:
    if len(texts) > MAX_WORDS:
        raise ValueError(f"{len(texts)} words, where {MAX_WORDS} are the most")
    return tuple(dict.fromkeys(texts))


def _one(texts: Sequence[str], _now: int) -> str:
    if len(texts) > 1:
        raise ValueError("this parameter may be given once")
    return texts[0]


def _since(texts: Sequence[str], now: int) -> int | None:
    since = min(parse_time_or_age(text, now) for text in texts)
    return None if since <= 0 else min(since, _END_OF_TIME)


def _until(texts: Sequence[str], now: int) -> int | None:
    until = max(parse_time_or_age(text, now) for text in texts)
    return None if until >= _END_OF_TIME else max(until, 0)


_PARTS: Mapping[str, tuple[str, _Parse]] = {
    "status": ("statuses", _statuses),
    "type": ("types", _texts),
    "queue": ("queues", _texts),
    "owner": ("owner", _one),
    "q": ("q", _words),
    "since": ("since", _since),
    "until": ("until", _until),
}
NAMES = frozenset(_PARTS)
