"""Whether an event costs the same when much is stored already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.context import Round
from benchmarks.figure import Figure, TimesAtMost

ROW = "growth"


@dataclass(frozen=True, slots=True)
class Window:
    """`stored`: how many there were at its end. `fresh`: the first window again, in an empty store, at the same time:
    what else the machine does then makes both dearer."""

    stored: int
    done: Round
    fresh: Round | None = None


def figures(windows: Sequence[Window], most: float = 1.2) -> list[Figure]:
    first = windows[0]
    return [
        Figure(
            row=ROW,
            name=f"CPU an event, up to {window.stored / 1e6:.3g} M stored",
            value=1e6 / window.done.events_per_cpu_second,
            unit="µs",
            against="" if window is first else _against(window, first),
            reference=None if window is first else 1e6 / (window.fresh or first.done).events_per_cpu_second,
            target=None if window is first else TimesAtMost(most),
        )
        for window in windows
    ]


def _against(window: Window, first: Window) -> str:
    beside = "" if window.fresh is None else ", in an empty store beside it"
    return f"at {first.stored / 1e6:.3g} M{beside}"
