"""`headrace work`: what happens beside the requests, without the requests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def work(
    concurrency: Annotated[
        int | None, typer.Option(help="Drains at once, each with its own connection (HEADRACE_CONCURRENCY).")
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(help="Answer /health/live, /health/ready and /metrics on this port (HEADRACE_HEALTH_PORT)."),
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where local files live (HEADRACE_DATA_DIR).")] = None,
) -> None:
    """Store what `headrace serve` took in, forward audit records, delete what is past its retention. Needs a database.

    Any number may run, on any machine. With HEADRACE_DRAIN=off the servers leave the storing to them.
    """
    from headrace.cli.working import work_until_stopped
    from headrace.config import load

    work_until_stopped(load(concurrency=concurrency, health_port=health_port, data_dir=data_dir))
