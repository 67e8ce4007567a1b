"""`headrace export`: all events that match, as one file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO
from urllib.parse import quote

import typer

from headrace.cli.client import Bucket, DataDir, Key, Server, Url, place_of
from headrace.cli.download import stream
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.filters import Action, Actor, Level, MinLevel, Params, Service, Since, Until, Where, params_of

_FORMATS = ("ndjson", "csv", "parquet")


def export(
    where: Where = None,
    bucket: Bucket = "default",
    since: Since = None,
    until: Until = None,
    level: Level = None,
    min_level: MinLevel = None,
    service: Service = None,
    action: Action = None,
    actor: Actor = None,
    format: Annotated[str | None, typer.Option("--format", "-f", help="ndjson, csv or parquet.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file. Default: standard output.")] = None,
    progress: Annotated[bool | None, typer.Option(help="Default: when standard error is a terminal.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Write all events that match to a file, oldest first. Without --format the file's name says which, else NDJSON.

    The file appears when it is whole: an export that was cut off leaves none.
    """
    kind = format or _by_name(output)
    if kind not in _FORMATS:
        raise Failure(f"--format {kind!r} is none of {', '.join(_FORMATS)}.", ExitCode.USAGE)
    if kind == "parquet" and output is None and sys.stdout.isatty():
        raise Failure("Parquet is not for a terminal: name a file with -o.", ExitCode.USAGE)
    params = params_of(
        where, since=since, until=until, level=level, min_level=min_level, service=service, action=action, actor=actor
    )
    _fetch(place_of(url, key, data_dir).find(), bucket, [*params, ("format", kind)], output, progress)


def _by_name(path: Path | None) -> str:
    suffix = path.suffix.removeprefix(".").lower() if path else ""
    return suffix if suffix in _FORMATS else "ndjson"


def _fetch(server: Server, bucket: str, params: Params, output: Path | None, progress: bool | None) -> None:
    path = f"/v1/buckets/{quote(bucket, safe='')}/export"
    shows = output is not None and (sys.stderr.isatty() if progress is None else progress)
    with _target(output) as file:
        stream(server, path, params, file.write, progress=shows)


@contextmanager
def _target(path: Path | None) -> Iterator[BinaryIO]:
    """Where to write; a file takes its name when all is in it."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    except OSError as exc:
        raise Failure(f"{path} cannot be written: {exc.strerror or exc}.") from exc
    finally:
        part.unlink(missing_ok=True)
