"""`headrace serve`: the whole service in one process, or in several, or some of its doors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HEADRACE_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one (HEADRACE_PORT).")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the files live (HEADRACE_DATA_DIR).")] = None,
    processes: Annotated[
        int | None, typer.Option(help="Server processes; more than 1 need a database (HEADRACE_PROCESSES).")
    ] = None,
    doors: Annotated[
        str | None,
        typer.Option(help="Answer only these, of events, tasks, auth, users, console, operations (HEADRACE_DOORS)."),
    ] = None,
    child: Annotated[str | None, typer.Option(hidden=True)] = None,
) -> None:
    """Take in events over HTTP, store them, answer questions about them. Stops on SIGTERM or Ctrl-C.

    With several processes SIGHUP replaces them one after the other, while the rest goes on serving.
    """
    from headrace.cli.serving import serve_until_stopped
    from headrace.cli.supervisor import Child
    from headrace.config import load

    settings = load(host=host, port=port, data_dir=data_dir, processes=processes, doors=doors)
    serve_until_stopped(settings, Child.parse(child) if child else None)
