"""`headrace doctor`: whether this machine is fit for a server, line by line, and what to do where it is not."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.client import DataDir, Key, Place, Url
from headrace.cli.failure import ExitCode

if TYPE_CHECKING:
    from pydantic import SecretStr

    from headrace.cli.checks import Finding
    from headrace.config import Settings

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    host: Annotated[str | None, typer.Option(help="The address that a server would listen on (HEADRACE_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="And its port (HEADRACE_PORT).")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Check versions, the safety of SQLite, disk, fsync, port, data directory, clock, limits and handlers of tasks.

    On PostgreSQL also each database: its version and settings and what an acknowledgement is worth with them,
    connections, pooler, tables, clock, replicas. Each line is ok, warn or fail and says what to do. Exit status 1
    if one of them fails.
    """
    from headrace.config import load

    settings = load(host=host, port=port, data_dir=data_dir)
    failed = False
    for finding in _findings(settings, Place(url, key, Path(settings.data_dir))):
        failed = failed or finding.grade == "fail"
        mark = typer.style(f"{finding.grade:<5}", fg=_COLOURS[finding.grade], bold=finding.grade == "fail")
        typer.echo(f"{mark} {finding.subject:<22} {finding.found}")
        if finding.advice:
            typer.echo(f"{'':<29}→ {finding.advice}")
    if failed:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _findings(settings: Settings, place: Place) -> Iterator[Finding]:
    from headrace.cli import checks, presence

    yield checks.python()
    yield from checks.libraries()
    yield from checks.sqlite()
    yield from presence.data_directory(settings.data_dir)
    yield from checks.disk(settings.data_dir, settings.min_free_bytes)
    yield from presence.server(place, settings.host, settings.port)
    yield checks.open_files()
    yield checks.clock()
    if settings.task_modules:
        yield _handlers(settings)
    if any(url.get_secret_value() for url in (settings.database_url, *_parts(settings))):
        yield from _databases(settings)


def _handlers(settings: Settings) -> Finding:
    """Imports the modules as a server's start does: what they do then, they do here."""
    from headrace.cli.checks import Finding, Grade
    from headrace.errors import Unusable
    from headrace.wiring.tasks import handlers

    try:
        names = sorted(handlers(settings).kinds())
    except Unusable as exc:
        advice = "mend it, or run this where the server is started: modules are looked for in the current directory"
        return Finding(Grade.FAIL, "task modules", exc.detail, advice)
    return Finding(Grade.OK, "task modules", f"handlers of {', '.join(names)}")


def _parts(settings: Settings) -> tuple[SecretStr, ...]:
    return settings.control_url, settings.events_url, settings.queue_url, settings.tasks_url


def _databases(settings: Settings) -> Iterator[Finding]:
    from headrace.cli.checks import Finding, Grade

    if find_spec("psycopg") is None:
        advice = "install headrace[postgres], or start with ./dev run, which does"
        yield Finding(Grade.FAIL, "database", "psycopg is not installed", advice)
        return
    from headrace.cli.checks_postgres import postgres

    yield from postgres(settings)
