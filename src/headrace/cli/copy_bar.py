"""The progress bar of `copy`. Apart from copy.py, because rich's machinery takes 60 ms to import."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:>9,.0f}/s")


def progress_on(console: Console) -> Progress:
    """With a row for the stage that is under way; gone when it is over."""
    return Progress(
        TextColumn("{task.completed:>12,.0f} {task.description}"),
        _Rate(),
        BarColumn(None),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
