"""The server's figures as tiles: what each shows, in which unit, and from when on it is a reason to look.

`static/overview/figures.js` writes the same values in the same form from then on; a browser test compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

NOTHING = "–"
"""Where a figure could not be asked."""

_SIZES = ("B", "KiB", "MiB", "GiB", "TiB")


def written(value: float, form: str) -> str:
    """`value` with its unit. `form`: count, rate (events or answers a second), seconds, or size (bytes)."""
    if math.isnan(value):
        return NOTHING
    return _FORMS[form](value)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _short(value: float) -> str:
    """Three digits at most behind which nobody looks: 0, 0.25, 4.2, 1,234."""
    if value == 0 or value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{max(value, 0.01):.2f}"


def _rate(value: float) -> str:
    return f"{_short(value)} /s"


def _seconds(value: float) -> str:
    if value >= 5_400:
        return f"{_short(value / 3_600)} h"
    if value >= 90:
        return f"{_short(value / 60)} min"
    return f"{_short(value)} s"


def _size(value: float) -> str:
    unit = 0
    while value >= 1_023.5 and unit < len(_SIZES) - 1:
        value, unit = value / 1_024, unit + 1
    return f"{_count(value) if unit == 0 else _short(value)} {_SIZES[unit]}"


_FORMS = {"count": _count, "rate": _rate, "seconds": _seconds, "size": _size}


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of a sample: `field` is of FIELDS in operations/history.py."""

    field: str
    form: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """A word for a figure: the first of `words` below `warn`, the second below `bad`, else the third."""

    field: str
    warn: float
    bad: float
    words: tuple[str, str, str]

    def of(self, value: float) -> tuple[str, str]:
        """(class of the badge, word)."""
        if math.isnan(value):
            return "", "unknown"
        place = 0 if value < self.warn else 1 if value < self.bad else 2
        return ("ok", "warn", "bad")[place], self.words[place]


@dataclass(frozen=True, slots=True)
class Tile:
    """`help` says what `value` is, `note` what the second, smaller figure is, which stands for the {}."""

    label: str
    value: Figure
    help: str
    second: Figure | None = None
    note: str = ""
    verdict: Verdict | None = None


TILES = (
    Tile(
        "Ingest rate", Figure("accepted", "rate"),
        "Events acknowledged in a second: each is on the disk before its sender is told so.",
        Figure("stored", "rate"), "{} stored",
    ),
    Tile(
        "Acknowledged", Figure("acknowledged", "count"),
        "Events acknowledged since this server started, and how many of all acknowledged ones are not stored yet.",
        Figure("depth", "count"), "{} not stored yet",
    ),
    Tile(
        "Queue", Figure("depth", "count"),
        "Events that are safe on the disk and cannot be found yet, and how long the oldest of them has waited.",
        Figure("age", "seconds"), "oldest waits {}",
    ),
    Tile(
        "Drain lag", Figure("lag", "seconds"), "From an acknowledgement until the event can be found.",
        verdict=Verdict("lag", 2, 30, ("keeping up", "busy", "behind")),
    ),
    Tile(
        "Errors", Figure("failed", "rate"),
        "Answers in a second that failed through our fault (5xx), and those refused for what was asked (4xx).",
        Figure("refused", "rate"), "{} refused",
        Verdict("failed", 0.001, 1, ("none failed", "some failed", "many failed")),
    ),
    Tile(
        "Storage", Figure("bytes", "size"), "The event store on the disk, and how many events it holds.",
        Figure("events", "count"), "{} events",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    field: str
    label: str
    form: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the last hour. The first line is drawn solid and filled, the second dashed: not by colour alone."""

    name: str
    title: str
    unit: str
    lines: tuple[Line, ...]


CHARTS = (
    Chart("ingest", "Ingest", "events a second",
          (Line("accepted", "acknowledged", "rate"), Line("stored", "stored", "rate"))),
    Chart("queue", "Queue depth", "events that wait", (Line("depth", "waiting", "count"),)),
    Chart("errors", "Errors", "answers a second",
          (Line("failed", "failed (5xx)", "rate"), Line("refused", "refused (4xx)", "rate"))),
)  # fmt: skip


def tiles(sample: Mapping[str, float] | None) -> list[dict[str, object]]:
    """For the template: each tile with its two values, and its verdict, as they are now."""
    return [_filled(tile, sample or {}) for tile in TILES]


def _filled(tile: Tile, sample: Mapping[str, float]) -> dict[str, object]:
    def now(field: str) -> float:
        return sample.get(field, math.nan)

    verdict, second = tile.verdict, tile.second
    return {
        "tile": tile,
        "value": written(now(tile.value.field), tile.value.form),
        "second": None if second is None else written(now(second.field), second.form),
        "around": tile.note.split("{}"),
        "verdict": None if verdict is None else verdict.of(now(verdict.field)),
    }
