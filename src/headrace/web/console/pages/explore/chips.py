"""The filter bar: a chip for each filter that is set, and what each field is called."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from headrace.web.console.pages.explore.asked import Asked
from headrace.web.console.pages.explore.marks import visible
from headrace.web.console.pages.explore.state import ATTRIBUTE, TIMES, State

FIELDS = {
    "level": "level", "min_level": "level at least", "service": "service", "action": "action", "actor": "actor",
    "target": "target", "outcome": "outcome", "trace_id": "trace",
}  # fmt: skip
COLUMN_NAMES = {
    "time": "Time", "level": "Level", "service": "Service", "action": "Action", "actor": "Actor", "target": "Target",
    "message": "Message", "outcome": "Outcome", "trace_id": "Trace", "span_id": "Span", "received_at": "Received",
    "id": "Id",
}  # fmt: skip
_MOST_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Chip:
    """One value of one filter. `without` is the page without it; `problem` what is wrong with it, or nothing."""

    name: Markup
    value: Markup
    without: str
    problem: str = ""


def chips_of(found: Asked) -> list[Chip]:
    """But for the times and the first text, which have places of their own."""
    state = found.state
    texts = state.values("q")[1:]
    shown = [(name, value) for name, value in state.pairs if name not in (*TIMES, "q")]
    shown += [("q", text) for text in texts]
    return [_chip(found, name, value) for name, value in shown]


def _chip(found: Asked, name: str, value: str) -> Chip:
    label = "or text" if name == "q" else label_of(name)
    without = found.state.removing(name, value).link()
    return Chip(visible(label, _MOST_SHOWN), visible(value, _MOST_SHOWN), without, found.problem(name))


def label_of(name: str) -> str:
    return name.removeprefix(ATTRIBUTE) if name.startswith(ATTRIBUTE) else FIELDS.get(name, name)


def drops_of(state: State) -> list[tuple[Markup, State]]:
    """Each filter that could be dropped when nothing is found: how it reads, and the state without it."""
    drops = []
    for name in dict.fromkeys(name for name, _ in state.pairs if name not in TIMES):
        values = " or ".join(state.values(name))
        label = "text" if name == "q" else label_of(name)
        drops.append((visible(f"{label}: {values}", _MOST_SHOWN), state.removing(name)))
    if any(state.first(name) for name in TIMES):
        drops.append((Markup("the time range"), state.between("", "")))
    return drops
