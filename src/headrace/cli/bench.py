"""`headrace bench`: invented traffic as a file, or a short load on a running server."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from headrace.cli.client import DataDir, Key, Server, Url, call, connect, place_of
from headrace.cli.failure import ExitCode, Failure

_PIECE_LINES = 1_000


def bench(
    generate: Annotated[int | None, typer.Option(min=1, help="Write so many invented events as NDJSON.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write them to this file.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed and --start give the same events.")] = 1,
    start: Annotated[str | None, typer.Option(help="Their day, e.g. 2026-11-20 (default: yesterday).")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each load lasts.")] = 5.0,
    connections: Annotated[int, typer.Option(min=1, max=1_000, help="Connections of the load.")] = 32,
    yes: Annotated[bool, typer.Option("--yes", help="Load a server on another machine, too.")] = False,
    bucket: Annotated[str | None, typer.Option("--bucket", "-b", help="Default: a new one, deleted after.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Measure a running server with a short load of single events and of batches, or write invented events to a file.

    With --generate: a day of varied traffic of 50,000 actors and 20 services, to send with `headrace send`.
    """
    if generate is not None:
        from headrace.cli.traffic import generate as events

        _write(events(generate, seed, _start_of(start)), output)
        return
    from headrace.cli.load import measure, show

    server = place_of(url, key, data_dir).find()
    if not server.is_local and not yes:
        raise Failure(f"{server.url} is another machine: add --yes if a load on it is all right.", ExitCode.USAGE)
    with _bucket(server, bucket) as name:
        show(measure(server, name, seconds=seconds, connections=connections, seed=seed), connections)


@contextmanager
def _bucket(server: Server, name: str | None) -> Iterator[str]:
    """The bucket to load; one of our own is gone afterwards."""
    if name is not None:
        yield name
        return
    own = f"bench-{secrets.token_hex(4)}"
    with connect(server) as client:
        call(client, "POST", "/v1/buckets", json={"name": own, "description": "A run of headrace bench"})
        try:
            yield own
        finally:
            call(client, "DELETE", f"/v1/buckets/{own}", params={"confirm": own})


def _start_of(text: str | None) -> int:
    """µs since 1970 of the start of the day. Raises Failure."""
    from headrace.kit.times import from_datetime

    if text is None:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return from_datetime(today - timedelta(days=1))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise Failure(f"--start {text!r}: write a date such as 2026-11-20.", ExitCode.USAGE) from exc
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _write(lines: Iterable[bytes], path: Path | None) -> None:
    if path is None:
        _copy(lines, sys.stdout.buffer)
        return
    try:
        with path.open("wb") as file:
            _copy(lines, file)
    except OSError as exc:
        raise Failure(f"{path} cannot be written: {exc.strerror}.") from exc


def _copy(lines: Iterable[bytes], out: BinaryIO) -> None:
    piece: list[bytes] = []
    for line in lines:
        piece.append(line)
        if len(piece) == _PIECE_LINES:
            out.write(b"".join(piece))
            piece.clear()
    out.write(b"".join(piece))
    out.flush()
