"""What a person sees on standard error while `send` works, and what it says at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headrace.cli.sending.report import Report
from headrace.cli.sending.source import Source

if TYPE_CHECKING:
    from rich.console import Console

_REFRESH = 4  # a second: more costs CPU that sending needs
_MOST_SHOWN = 20


class Display:
    """A progress bar (or nothing), and messages above it."""

    def __init__(self, console: Console, report: Report, *, bar: bool) -> None:
        self._console = console
        self._report = report
        self._bar = bar
        self._started = time.monotonic()
        self._trouble: str | None = None
        self._since = 0.0

    def notice(self, text: str | None) -> None:
        """Trouble, told once until it is over, which None says. Called by the threads of a delivery."""
        if text is not None and self._trouble is None:
            self._trouble, self._since = text, time.monotonic()
            self._console.print(f"[yellow]{_plain(text)}[/]", highlight=False)
        elif text is None and self._trouble is not None:
            self._trouble = None
            away = time.monotonic() - self._since
            self._console.print(f"[green]going on after {away:.1f} s[/]", highlight=False)

    @contextmanager
    def showing(self, total: int | None) -> Iterator[Callable[[Source], None]]:
        """A bar while the block runs; what it gives is to be called with each source as its turn comes."""
        if not self._bar:
            yield lambda _: None
            return
        from headrace.cli.sending.bar import bar_over

        with bar_over(self._console, self._report, total, _REFRESH) as turn_to:
            yield turn_to

    def summary(self) -> None:
        """The totals, and the first rejections with their reasons."""
        totals, seconds = self._report.totals, max(time.monotonic() - self._started, 1e-9)
        rate = f"{totals.accepted / seconds:,.0f}/s" if totals.accepted >= 100 else ""
        parts = [f"{totals.accepted:,} accepted", f"{totals.sent_bytes / 1e6:,.1f} MB in {seconds:.1f} s", rate]
        text = ", ".join(part for part in parts if part)
        if totals.rejected:
            self._rejections()
            text += f"; [red]{totals.rejected:,} rejected[/]"
        self._console.print(text, highlight=False)

    def _rejections(self) -> None:
        shown = self._report.reasons[:_MOST_SHOWN]
        for reason in shown:
            place = f"{reason.source}:{reason.line}"
            self._console.print(f"[red]{_plain(place)}[/]: {_plain(reason.detail)}", highlight=False, soft_wrap=True)
        if (more := self._report.totals.rejected - len(shown)) > 0:
            self._console.print(f"… and {more:,} more rejected", highlight=False)


def _plain(text: str) -> str:
    """Without what would be markup or would control the terminal: reasons quote what strangers wrote."""
    from rich.markup import escape

    return escape("".join(char if char.isprintable() else "�" for char in text))
