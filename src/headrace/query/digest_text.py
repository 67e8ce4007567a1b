"""A day of a bucket as plain text, 80 columns wide, for a mail or a chat. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from headrace.model.event import LEVELS
from headrace.query.plain import plain

WIDTH = 80
_BAR = 30
_LABEL = 28
_BUSIEST = 5
_TITLES = {"service": "Services", "action": "Actions", "actor": "Actors"}


@dataclass(frozen=True, slots=True)
class DayReport:
    """What there is to say. `levels` → events, of the day and of the day before; `hours` (0 to 23) → events; what is
    frequent with how often, most frequent first. `is_part`: of the part of the bucket that the reader may see.
    `errors`: of the `errors_seen` newest."""

    bucket: str
    day: date
    timezone: str
    is_part: bool
    levels: Mapping[str, int]
    levels_before: Mapping[str, int]
    hours: Mapping[int, int]
    frequent: Mapping[str, Sequence[tuple[str, int]]]
    errors: Sequence[tuple[str, int]]
    errors_seen: int

    @property
    def events(self) -> int:
        """In all."""
        return sum(self.levels.values())

    @property
    def errors_in_all(self) -> int:
        """Events of the levels error and critical."""
        return self.levels.get("error", 0) + self.levels.get("critical", 0)


def write_digest(report: DayReport) -> str:
    """Lines of at most WIDTH columns, with a line end behind each."""
    lines = [*_head(report)]
    if report.events:
        lines += _levels(report)
        lines += _hours(report)
        for field, title in _TITLES.items():
            lines += _ranking(title, report.frequent.get(field, ()), report.events)
        lines += _errors(report)
    return "".join(f"{_cut(line, WIDTH).rstrip()}\n" for line in lines)


def _head(report: DayReport) -> Iterator[str]:
    title = f"{report.bucket}, {report.day:%A} {report.day.isoformat()} ({report.timezone})"
    yield title
    yield "=" * min(WIDTH, _width(title))
    if report.is_part:
        yield "Of the part of this bucket that the owner of this report may see."
    before = sum(report.levels_before.values())
    if not report.events:
        yield ""
        yield f"Nothing happened on this day. The day before had {_events(before)}."
        return
    yield ""
    yield f"{_events(report.events)}, {_compared(report.events, before)}."
    errors_before = report.levels_before.get("error", 0) + report.levels_before.get("critical", 0)
    if report.errors_in_all or errors_before:
        yield f"{report.errors_in_all:,} of them errors; the day before {errors_before:,}."


def _compared(now: int, before: int) -> str:
    if not before:
        return "none the day before"
    change = 100 * (now - before) / before
    if abs(change) < 0.5:
        return f"about as many as the day before ({before:,})"
    word = "more" if change > 0 else "fewer"
    return f"{abs(change):,.0f} % {word} than the day before ({before:,})"


def _levels(report: DayReport) -> Iterator[str]:
    yield from _section("Levels")
    most = max(report.levels.values())
    for level in reversed(LEVELS):
        if count := report.levels.get(level, 0):
            yield _row(level, count, count / most)


def _hours(report: DayReport) -> Iterator[str]:
    yield from _section("Busiest hours")
    busiest = sorted(report.hours.items(), key=lambda hour: (-hour[1], hour[0]))[:_BUSIEST]
    most = max(busiest[0][1], 1)
    for hour, count in busiest:
        if count:
            yield _row(f"{hour:02}:00 to {hour:02}:59", count, count / most)


def _ranking(title: str, values: Sequence[tuple[str, int]], events: int) -> Iterator[str]:
    if values:
        yield from _section(title)
        for value, count in values:
            yield _row(plain(value), count, count / events, share=True)


def _errors(report: DayReport) -> Iterator[str]:
    if not report.errors:
        return
    some = report.errors_in_all > report.errors_seen
    yield from _section(f"Errors, of the newest {report.errors_seen:,}" if some else "Errors")
    for line, count in report.errors:
        yield f"  {count:>7,}x  {line}"


def _section(title: str) -> tuple[str, str]:
    return "", title


def _row(label: str, count: int, part: float, *, share: bool = False) -> str:
    """`part`: how much of its bar is there, from 0 to 1."""
    bar = "#" * max(1, round(part * _BAR))
    behind = f"{100 * part:>3.0f} %" if share else ""
    return f"  {_padded(label, _LABEL)} {count:>12,} {behind or bar}"


def _events(count: int) -> str:
    return f"{count:,} event{'' if count == 1 else 's'}"


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, marks that combine none."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, most: int) -> str:
    if _width(text) <= most:
        return text
    width, kept = 0, []
    for character in text:
        width += _columns(character)
        if width > most - 1:
            break
        kept.append(character)
    return f"{''.join(kept)}…"


def _padded(text: str, width: int) -> str:
    cut = _cut(text, width)
    return cut + " " * (width - _width(cut))
