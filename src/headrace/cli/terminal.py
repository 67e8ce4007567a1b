"""Events as lines for a person: aligned, coloured by level, and unable to control the terminal."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from headrace.cli.answers import Event, Party  # with msgspec, which `--help` does without

_COLOURS = {"trace": "bright_black", "debug": "bright_black", "info": "green", "warning": "yellow", "error": "red"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of text: a log line may have been written to deceive."""


class Lines:
    """Writes events one below the other. `colour` None: when standard output is a terminal."""

    def __init__(self, *, utc: bool, colour: bool | None = None) -> None:
        self._utc = utc
        self._colour = colour
        self._service = self._action = self._actor = 0

    def print(self, event: Event) -> None:
        """One event."""
        typer.echo(self.line(event), color=self._colour)

    def header(self) -> None:
        """What the columns are."""
        names = f"{'time':<23} {'level':<8} {'service':<16} {'action':<20} {'actor':<14} message"
        typer.echo(typer.style(names, bold=True), color=self._colour)

    def line(self, event: Event) -> str:
        """An event with its colours."""
        level = typer.style(f"{event.level:<8}", **_style(event.level))  # type: ignore[arg-type]  # bold or a colour
        cells = (
            typer.style(self._time(event.time), dim=True),
            level,
            typer.style(f"{printable(event.service or '-'):<16}", fg="cyan"),
            f"{printable(event.action or '-'):<20}",
            f"{printable(_id(event.actor)):<14}",
            printable(event.message or ""),
            typer.style(printable(bytes(event.attributes).decode()), dim=True),
        )
        return " ".join(cells).rstrip()

    def _time(self, text: str) -> str:
        moment = datetime.fromisoformat(text)
        shown = moment.astimezone(UTC if self._utc else None)
        return shown.strftime("%Y-%m-%d %H:%M:%S.%f")[:23]


def printable(text: str) -> str:
    """Text on one line, its control characters shown as their escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _id(party: Party | None) -> str:
    return party.id if party else "-"


def _style(level: str) -> dict[str, str | bool]:
    return {"bold": True, "fg": "white", "bg": "red"} if level == "critical" else {"fg": _COLOURS.get(level, "white")}
