"""Times as microseconds since 1970 in UTC, and the ways people write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST = EPOCH
LATEST = datetime(2262, 1, 1, tzinfo=UTC)
"""Event times lie in [EARLIEST, LATEST): what 64-bit nanoseconds can hold, so that other stores can too."""

_UNITS = {"ms": 1_000, "s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d|w)?\Z", re.ASCII)
_AGE = re.compile(r"[\d.]+(ms|s|m|h|d|w)", re.ASCII)
_LOST_PLUS = re.compile(r"(T\d\d:\d\d[\d:.]*) (\d\d:?\d\d)")  # an offset's plus sign that a URL turned into a space
_MICROSECOND = timedelta(microseconds=1)
_LATEST = (LATEST - EPOCH) // _MICROSECOND


def from_datetime(value: datetime) -> int:
    """µs since 1970 of an aware datetime."""
    return (value - EPOCH) // _MICROSECOND


def to_datetime(us: int) -> datetime:
    """The aware datetime in UTC. Raises OverflowError outside the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=us)


def clamped(us: int) -> int:
    """The nearest time that an event may have; LATEST included, as an end."""
    return max(0, min(us, _LATEST))


def format_time(us: int) -> str:
    """RFC 3339 in UTC with microseconds and Z."""
    seconds, rest = divmod(us, SECOND)
    return f"{_second(seconds)}.{rest:06d}Z"


@lru_cache(maxsize=256)  # times that are written close together mostly are of a few seconds: 0.3 µs instead of 5
def _second(seconds: int) -> str:
    return (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def from_epoch(number: float) -> int:
    """µs of an epoch number: below 1e11 seconds, below 1e14 milliseconds, below 1e17 microseconds, else nanoseconds.

    Integers keep every digit. Raises ValueError for what is not finite.
    """
    size = abs(number)
    if not size < float("inf"):
        raise ValueError("a time must be finite")
    if isinstance(number, int):
        if size < 10**11:
            return number * SECOND
        if size < 10**14:
            return number * 1_000
        return number if size < 10**17 else (number + 500) // 1_000
    if size < 1e11:
        return round(number * SECOND)
    if size < 1e14:
        return round(number * 1_000)
    return round(number) if size < 1e17 else round(number / 1_000)


def parse_time(text: str) -> int:
    """µs of an RFC 3339 time with an offset, or of an epoch number. Raises ValueError."""
    try:
        return from_epoch(int(text) if re.fullmatch(r"-?\d{1,20}", text, re.ASCII) else float(text))
    except ValueError:
        pass
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: end it with Z or an offset such as +02:00")
    try:
        return from_datetime(value)
    except OverflowError as exc:
        raise ValueError(f"{text!r} is out of range") from exc


def parse_duration(text: str) -> int:
    """µs of `90` (seconds), `500ms`, `10s`, `5m`, `1h`, `7d`, `2w`. Raises ValueError."""
    match = _DURATION.match(text)
    if not match:
        raise ValueError(f"{text[:64]!r} is not a duration: write seconds, or 10s, 5m, 1h, 7d")
    return round(float(match[1]) * _UNITS[match[2] or "s"])


def parse_time_or_age(text: str, now: int) -> int:
    """µs of a time, or of an age such as 15m: so long before `now`. Raises ValueError."""
    text = text.strip()
    if _AGE.fullmatch(text):
        return now - parse_duration(text)
    try:
        return parse_time(_LOST_PLUS.sub(r"\1+\2", text))
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text[:64]!r} is neither a time (2026-11-20T12:00:00Z) nor an age (15m, 24h, 7d)") from exc


def format_duration(us: int) -> str:
    """The shortest exact form: `1m`, `90s`, `250ms`."""
    for unit in ("w", "d", "h", "m", "s"):
        if us and us % _UNITS[unit] == 0 and unit != "w":
            return f"{us // _UNITS[unit]}{unit}"
    return f"{us // 1_000}ms"
