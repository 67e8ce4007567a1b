"""`headrace status`: how the server is doing."""

from __future__ import annotations

from typing import Annotated

import typer

from headrace.cli.client import DataDir, Key, Url, call, connect, place_of
from headrace.cli.failure import ExitCode
from headrace.cli.terminal import printable


def status(
    json: Annotated[bool, typer.Option("--json", help="As the server says it.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Show version, queue and store of the server. Exit status 1 while it is not ready."""
    server = place_of(url, key, data_dir).find()
    with connect(server) as client:
        answer = call(client, "GET", "/v1/status")
    found = answer.json()
    if json:
        typer.echo(answer.text)
    else:
        typer.echo(f"{'url':<24} {server.url}")
        for name, value in found.items():
            for label, one in value.items() if isinstance(value, dict) else (("", value),):
                typer.echo(f"{f'{name} {label}'.replace('_', ' ').strip():<24} {_shown(one)}")
    if not found.get("ready", True):
        raise typer.Exit(ExitCode.INCOMPLETE)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else printable(str(value))
