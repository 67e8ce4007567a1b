"""`headrace copy`: everything from the files of a data directory into PostgreSQL, in as many runs as it takes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Self

import typer

from headrace.cli.failure import ExitCode, Failure
from headrace.errors import Unavailable
from headrace.kit.times import format_time

if TYPE_CHECKING:
    from rich.progress import Progress

    from headrace.config import Settings
    from headrace.operations.move import Outcome

_AGAIN = "Run the same command again: it goes on where it was."


def copy(
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="URL", help="The database (HEADRACE_DATABASE_URL): postgresql://user@host/name."),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the files live (HEADRACE_DATA_DIR).")] = None,
    bar: Annotated[
        bool | None, typer.Option("--progress/--no-progress", help="Show progress; by default on a terminal.")
    ] = None,
) -> None:
    """Copy everything from the data directory of a stopped server into an empty PostgreSQL.

    Ids, times and positions stay as they are; the data directory is not changed. Killed at any moment and run again it
    goes on where it was. HEADRACE_CONTROL_URL, HEADRACE_EVENTS_URL, HEADRACE_QUEUE_URL and HEADRACE_TASKS_URL place
    parts elsewhere.
    """
    from headrace.config import load

    settings = load(data_dir=data_dir, database_url=to)
    began = time.monotonic()
    with _Bar(bar) as watcher:
        try:
            outcome = asyncio.run(_run(settings, watcher))
        except Unavailable as exc:
            raise Failure(f"{exc.detail.rstrip('.')}. {_AGAIN}", ExitCode.UNREACHABLE) from exc
        except KeyboardInterrupt:
            raise Failure(f"interrupted. {_AGAIN}", ExitCode.INTERRUPTED) from None
    if outcome.finished_before is not None:
        typer.echo(f"the copy is complete since {format_time(outcome.finished_before)}: nothing was changed")
        return
    _tell(outcome, watcher.events, time.monotonic() - began)


async def _run(settings: Settings, watcher: _Bar) -> Outcome:
    from headrace.wiring.move import moving

    async with moving(settings, watcher) as move:
        return await move.run()


def _tell(outcome: Outcome, events: int, seconds: float) -> None:
    typer.echo(f"{'':<20} {'here':>15} {'database':>15}")
    for line in outcome.lines:
        typer.echo(f"{line.name:<20} {line.here:>15,} {line.there:>15,}")
    typer.echo(f"copied {events:,} events in {seconds:.1f} s ({events / max(seconds, 1e-9):,.0f}/s); it is complete")


class _Bar:
    """What the move is about, how far it is and how fast; on a terminal."""

    def __init__(self, wanted: bool | None) -> None:
        self.events = 0
        self._wanted = wanted
        self._stage = ""
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        from rich.console import Console

        console = Console(stderr=True)
        if console.is_terminal if self._wanted is None else self._wanted:
            from headrace.cli.copy_bar import progress_on

            self._progress = progress_on(console)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def stage(self, name: str, total: int | None, done: int = 0) -> None:
        self._stage = name
        if self._progress is not None:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            self._progress.add_task(name, total=total, completed=done)

    def advance(self, count: int) -> None:
        self.events += count if self._stage == "events" else 0
        if self._progress is not None:
            self._progress.advance(self._progress.task_ids[0], count)
