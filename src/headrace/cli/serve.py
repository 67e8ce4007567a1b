"""`headrace serve`: the whole service in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HEADRACE_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on, 0 for a free one (HEADRACE_PORT).")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the files live (HEADRACE_DATA_DIR).")] = None,
) -> None:
    """Take in events over HTTP, store them, answer questions about them. Stops on SIGTERM or Ctrl-C."""
    from headrace.cli.serving import serve_until_stopped
    from headrace.config import load

    serve_until_stopped(load(host=host, port=port, data_dir=data_dir))
