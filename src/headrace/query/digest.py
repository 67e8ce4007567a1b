"""`report.digest`: a task that says in a page of text what happened in a bucket on one day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from headrace.errors import ItemError
from headrace.kit.times import MINUTE, from_datetime, to_datetime
from headrace.model.event import LEVEL_NAMES, StoredEvent
from headrace.model.query import EventFilter, HistogramBar, Search
from headrace.model.task import Retry
from headrace.model.task_kind import TaskKind
from headrace.model.view import View
from headrace.ports.clock import Clock
from headrace.ports.crew import Attempt
from headrace.ports.events import Events
from headrace.query.digest_text import DayReport, write_digest
from headrace.query.plain import plain
from headrace.query.task_args import TaskViews, flaws, read

DIGEST_TYPE = "report.digest"
FIELDS = ("service", "action", "actor")
_MOST_VALUES = 5
_ERRORS = 500  # looked at: their messages may have 64 KiB each
_MOST_ERRORS = 5
_BAR = 15 * MINUTE  # hours of every time zone begin at a quarter of an hour of UTC
_RETRY = Retry(first=30.0, longest=3600.0)
_MOST_ZONE = 64


class DigestArgs(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`day`: as in 2026-11-28; without it the day before today."""

    bucket: str
    day: str | None = None
    timezone: str = "UTC"


class DigestTask:
    """Four short reads of the store."""

    def __init__(self, events: Events, views: TaskViews, clock: Clock) -> None:
        self._events = events
        self._views = views
        self._clock = clock

    @property
    def kind(self) -> TaskKind:
        """For whoever submits one."""
        return TaskKind(
            DIGEST_TYPE,
            self.check,
            retry=_RETRY,
            house=True,
            description="Say in a page of text what happened in a bucket on one day.",
            permit=self._views.permit,
        )

    def check(self, raw: bytes) -> Sequence[ItemError]:
        """What is wrong with the args."""
        return flaws(raw, DigestArgs, _flaws)

    async def run(self, attempt: Attempt, args: Mapping[str, Any]) -> object:
        """`{"text": …, "events": …}`. Raises NotFound and Forbidden when the owner of the task may not read the bucket
        any more, and Unavailable."""
        asked = read(args, DigestArgs)
        view = await self._views.of_owner(attempt.task.owner, asked.bucket)
        zone = ZoneInfo(asked.timezone)
        day = date.fromisoformat(asked.day) if asked.day else self._yesterday(zone)
        report = await self._report(view, day, zone)
        return {"text": write_digest(report), "events": report.events}

    def _yesterday(self, zone: ZoneInfo) -> date:
        return to_datetime(self._clock.now()).astimezone(zone).date() - timedelta(days=1)

    async def _report(self, view: View, day: date, zone: ZoneInfo) -> DayReport:
        bucket_id, whole = view.bucket.id, view.narrow(_span(day, zone))
        before = view.narrow(_span(day - timedelta(days=1), zone))
        bars = await self._events.histogram(bucket_id, whole, _BAR, "level")
        earlier = await self._events.histogram(bucket_id, before, _BAR, "level")
        levels = _levels(bars)
        frequent = await self._events.facets(bucket_id, whole, FIELDS, _MOST_VALUES) if bars else {}
        errors = await self._errors(view, day, zone) if levels["error"] or levels["critical"] else ()
        return DayReport(
            bucket=view.bucket.name,
            day=day,
            timezone=zone.key,
            is_part=view.within is not None,
            levels=levels,
            levels_before=_levels(earlier),
            hours=_hours(bars, zone),
            frequent={field: [(one.value, one.count) for one in frequent.get(field, ())] for field in FIELDS},
            errors=_most_frequent(errors),
            errors_seen=len(errors),
        )

    async def _errors(self, view: View, day: date, zone: ZoneInfo) -> Sequence[StoredEvent]:
        span = _span(day, zone, min_level=LEVEL_NAMES["error"])
        return await self._events.search(Search(view.bucket.id, view.narrow(span), "desc", _ERRORS))


def _span(day: date, zone: ZoneInfo, min_level: int | None = None) -> EventFilter:
    """From midnight to midnight on the clocks there: 23 to 25 hours."""
    since = datetime(day.year, day.month, day.day, tzinfo=zone)
    next_day = day + timedelta(days=1)
    until = datetime(next_day.year, next_day.month, next_day.day, tzinfo=zone)
    return EventFilter(since=from_datetime(since), until=from_datetime(until), min_level=min_level)


def _levels(bars: Sequence[HistogramBar]) -> Counter[str]:
    levels: Counter[str] = Counter()
    for bar in bars:
        levels.update(dict(bar.by))
    return levels


def _hours(bars: Sequence[HistogramBar], zone: ZoneInfo) -> Mapping[int, int]:
    """Hour on the clocks there → events. An hour that they show twice is one."""
    hours: Counter[int] = Counter()
    for bar in bars:
        hours[to_datetime(bar.time).astimezone(zone).hour] += bar.count
    return hours


def _most_frequent(errors: Sequence[StoredEvent]) -> Sequence[tuple[str, int]]:
    """First lines, and how many events have them."""
    lines = Counter(_first_line(event) for event in errors)
    return lines.most_common(_MOST_ERRORS)


def _first_line(event: StoredEvent) -> str:
    message = (event.message or "").strip()
    return plain(message.splitlines()[0]) if message else plain(event.action or "(no message)")


def _flaws(args: DigestArgs) -> Sequence[ItemError]:
    errors = []
    if args.day is not None and not _is_day(args.day):
        detail = f"{args.day[:32]!r} is not a day from 1970 to 2261: write it as in 2026-11-28"
        errors.append(ItemError("invalid-day", detail, field="args.day"))
    if not _is_zone(args.timezone):
        detail = f"{args.timezone[:_MOST_ZONE]!r} is not a time zone: write its IANA name, as in Europe/Berlin"
        errors.append(ItemError("invalid-timezone", detail, field="args.timezone"))
    return errors


def _is_day(text: str) -> bool:
    try:
        return len(text) == len("2026-11-28") and 1970 <= date.fromisoformat(text).year <= 2261
    except ValueError:
        return False


def _is_zone(text: str) -> bool:
    try:
        return len(text) <= _MOST_ZONE and bool(ZoneInfo(text).key)
    except (ValueError, OSError, KeyError):  # a path, a folder of the database, a name that it does not have
        return False
