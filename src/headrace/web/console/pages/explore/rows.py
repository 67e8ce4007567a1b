"""An event as a line of the list: `row_of` makes what the macro `event_row` of templates/explore/_row.html takes.

Long values are cut here: what a page of a hundred events weighs does not depend on what was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from markupsafe import Markup

from headrace.kit.times import format_time
from headrace.model.event import LEVELS, Party, StoredEvent
from headrace.web.console.pages.explore.json_lines import value_at
from headrace.web.console.pages.explore.marks import visible
from headrace.web.console.pages.explore.state import ATTRIBUTE, State

_MOST_MESSAGE = 400  # characters: about four lines on a phone
_MOST_CELL = 120
_MOST_SEARCHED = 64 * 1024  # characters of attributes that are looked through for a column: 5 ms


@dataclass(frozen=True, slots=True)
class Row:
    """`cells` by column; times are µs since 1970, the rest is HTML already."""

    id: str
    href: str
    level: str
    time: int
    received_at: int
    cells: dict[str, Markup]

    def at(self, column: str) -> int:
        """The time in a column of times."""
        return self.received_at if column == "received_at" else self.time


def row_of(event: StoredEvent, state: State) -> Row:
    """The line of `event`; its link keeps the state of the page."""
    name = str(UUID(int=event.id))
    cells = {column: visible(*_cell(event, column)) for column in state.columns}
    return Row(name, state.link(f"/events/{name}"), LEVELS[event.level], event.time, event.received_at, cells)


def _cell(event: StoredEvent, column: str) -> tuple[str, int]:
    """The text, and how much of it is shown."""
    if column == "message":
        return event.message or event.attributes or "", _MOST_MESSAGE
    if column.startswith(ATTRIBUTE):
        found = value_at((event.attributes or "")[:_MOST_SEARCHED], column.removeprefix(ATTRIBUTE))
        return found or "", _MOST_CELL
    return text_of(event, column), _MOST_CELL


def text_of(event: StoredEvent, field: str) -> str:
    """A field as one text: a party as its name and id, a time as RFC 3339."""
    if field in ("actor", "target"):
        return party_text(getattr(event, field))
    if field in ("time", "received_at"):
        return format_time(getattr(event, field))
    if field == "level":
        return LEVELS[event.level]
    if field == "id":
        return str(UUID(int=event.id))
    return getattr(event, field) or ""


def party_text(party: Party | None) -> str:
    if party is None:
        return ""
    return f"{party.name} ({party.id})" if party.name and party.name != party.id else party.id
