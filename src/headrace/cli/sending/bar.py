"""The progress bar of `send`. Apart from progress.py, because rich's machinery takes 60 ms to import."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from headrace.cli.sending.report import Report
from headrace.cli.sending.source import Source


@contextmanager
def bar_over(
    console: Console, report: Report, total: int | None, refresh: int
) -> Iterator[Callable[[Source], None]]:
    """Show a bar on `console`, brought up to date `refresh` times a second, while the block runs. `total` in bytes."""
    progress = Progress(
        TextColumn("{task.fields[events]:>12,} events"),
        TextColumn("{task.fields[rate]:>9,.0f}/s"),
        BarColumn(None),
        TextColumn("{task.fields[megabytes]:,.0f} MB"),
        TextColumn("[red]{task.fields[rejected]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        auto_refresh=False,
        transient=True,
    )
    task = progress.add_task("send", total=total, events=0, rate=0.0, megabytes=0.0, rejected="")
    finished = threading.Event()
    current: list[Source] = []

    def refreshed() -> None:
        before, rate = 0, 0.0
        while not finished.wait(1 / refresh):
            totals = report.totals
            rate += ((totals.accepted - before) * refresh - rate) / refresh  # about the last second
            before = totals.accepted
            read = sum(source.position() for source in current if not source.is_closed)
            done = sum(source.size or 0 for source in current if source.is_closed)
            rejected = f"{totals.rejected:,} rejected" if totals.rejected else ""
            megabytes = totals.sent_bytes / 1e6
            progress.update(
                task, completed=read + done, events=totals.accepted, rate=rate, megabytes=megabytes, rejected=rejected
            )
            progress.refresh()

    with progress:
        thread = threading.Thread(target=refreshed, name="progress", daemon=True)
        thread.start()
        try:
            yield current.append
        finally:
            finished.set()
            thread.join()
