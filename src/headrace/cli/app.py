"""The command tree. Command modules are light; what is heavy is imported inside the commands."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from headrace.cli import (
    backup,
    bench,
    buckets,
    copy,
    doctor,
    export,
    keys,
    migrate,
    query,
    restore,
    send,
    serve,
    status,
    tail,
    tasks,
    users,
    work,
)
from headrace.cli.failure import ExitCode, Failure
from headrace.errors import HeadraceError

app = typer.Typer(
    name="headrace",
    help="Headrace records events and runs tasks under high traffic, and acknowledges only what is durable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command("serve")(serve.serve)
app.command("work")(work.work)
app.command("send", help=send.HELP)(send.send)
app.command("tail")(tail.tail)
app.command("query")(query.query)
app.command("export")(export.export)
app.command("status")(status.status)
app.add_typer(tasks.app, name="tasks")
app.add_typer(buckets.app, name="buckets")
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.command("backup")(backup.backup)
app.command("restore")(restore.restore)
app.command("copy")(copy.copy)
app.command("doctor")(doctor.doctor)
app.command("migrate")(migrate.migrate)
app.command("bench")(bench.bench)


def _print_version(wanted: bool) -> None:
    if wanted:
        from headrace import __version__

        typer.echo(f"headrace {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run() -> None:
    """Run the command line of this process. A person never sees a traceback for what we foresaw."""
    try:
        app()
    except Failure as failure:
        sys.exit(_told(failure, failure.exit_code))
    except HeadraceError as error:
        sys.exit(_told(error, ExitCode.INCOMPLETE))


def _told(error: HeadraceError, exit_code: ExitCode) -> int:
    typer.secho("headrace: ", fg="red", nl=False, err=True)
    typer.echo(error.detail, err=True)
    return int(exit_code)
