"""Cron expressions: five fields, as cron(8) of Debian reads them, daylight saving included (the library cronsim)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from headrace.kit.times import from_datetime, to_datetime

DEFAULT_TIMEZONE = "UTC"


def check(cron: str, timezone: str) -> tuple[str, str] | None:
    """(field, what is wrong with it), or None."""
    try:
        zone = ZoneInfo(timezone)
    except (ValueError, OSError, LookupError):
        return "timezone", f"`timezone` {timezone[:60]!r} is no time zone: write Europe/Berlin or UTC"
    if len(cron.split()) != 5:
        return "cron", "`cron` must have five fields: minute hour day month weekday, such as */15 * * * *"
    try:
        next(CronSim(cron, datetime.now(zone)), None)
    except CronSimError as exc:
        return "cron", f"`cron`: {str(exc) or 'not a cron expression'}"
    return None


def firings(cron: str, timezone: str, after: int) -> Iterator[int]:
    """The times (µs since 1970) that the expression says after `after`, without it; it ends when there are no more."""
    for moment in CronSim(cron, to_datetime(after).astimezone(ZoneInfo(timezone))):
        yield from_datetime(moment)


def next_firing(cron: str, timezone: str, after: int) -> int | None:
    """The first of them."""
    return next(firings(cron, timezone, after), None)
