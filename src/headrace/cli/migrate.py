"""`headrace migrate`: bring the control data up to date without serving."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def migrate(
    data_dir: Annotated[Path | None, typer.Option(help="Where the files live (HEADRACE_DATA_DIR).")] = None,
) -> None:
    """Bring the control data up to date, for servers that run with HEADRACE_MIGRATE=off.

    Can be run at any time, and again when it was interrupted.
    """
    import asyncio

    from headrace import wiring
    from headrace.config import load

    settings = load(data_dir=data_dir)
    asyncio.run(wiring.migrate(settings))
    typer.echo(f"the control data in {settings.data_dir} is up to date")
