"""`headrace send`: events from files or the standard input to the server, each of them once."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from headrace.cli.client import Bucket, DataDir, Key, Place, Url, place_of
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.help import paragraphs

if TYPE_CHECKING:
    from headrace.cli.sending.batch import Batch, Refused
    from headrace.cli.sending.delivery import Delivery
    from headrace.cli.sending.encode import Reading
    from headrace.cli.sending.progress import Display
    from headrace.cli.sending.report import Report
    from headrace.cli.sending.source import Source

_IDLE_SECONDS = 0.5  # a line of `tail -f` is on its way after this

HELP = paragraphs("""
Send events to the server: NDJSON, a JSON array or objects, or plain text lines; from files (.gz and .zst too) or from
the standard input (-). The format is found by looking at the beginning.

Text lines: the time and the level of common log formats are found (ISO times, syslog, web servers, journald, logfmt,
klog, epoch, …); the rest of the line is the message. A time without a zone is in the zone of this machine (--utc: in
UTC). A line without a time has that of the line before.

While the server is away, busy or starting again, send waits and goes on from where it was; nothing is lost, and
nothing is stored twice, because each batch carries an Idempotency-Key. If send itself is killed, run the same
command again within the server's dedup window (24 hours): files are recognised by device, inode, place and content,
and what was stored before is not stored again (--again stores it anew; of a file that has grown since, the last
part, up to 1 MiB, comes again). The standard input is a new thing each time: give it a name with --send-id to be able
to repeat it.

Exit status: 0 all accepted; 1 some items were rejected, each told with its line, all others accepted; 2 wrong options;
3 the server did not come back within --timeout; 4 it refuses (key, permission, bucket); 130 interrupted.
""")


def send(
    files: Annotated[list[Path] | None, typer.Argument(help="Files, or - for the standard input.")] = None,
    bucket: Bucket = "default",
    format: Annotated[str, typer.Option("--format", "-f", help="auto, ndjson, json or text.")] = "auto",
    service: Annotated[str | None, typer.Option(help="The service of events that name none.")] = None,
    level: Annotated[str | None, typer.Option(help="The level of events that name none.")] = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A field (actor, actor.type …) or attribute where it lacks."),
    ] = None,
    utc: Annotated[bool, typer.Option("--utc", help="Times without a zone are in UTC.")] = False,
    send_id: Annotated[str | None, typer.Option(help="A name: the same name and content is stored once.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Store it anew even if it was sent before.")] = False,
    rejects: Annotated[Path | None, typer.Option(help="Write rejected lines to this file, to mend and send.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Give up after so many seconds without an answer.")] = None,
    compress: Annotated[bool | None, typer.Option(help="Default: unless the server is on this machine.")] = None,
    progress: Annotated[bool | None, typer.Option(help="Default: when standard error is a terminal.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing when all goes well.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Send events; HELP is what a person reads."""
    from headrace.cli.sending.pipeline import deliver
    from headrace.cli.sending.report import Report

    reading = _reading(format, set or [], service, level, utc=utc, waits=send_id is not None)
    paths = files or [Path("-")]
    total = _total_size(paths)
    name = secrets.token_hex(16) if again else send_id
    with ExitStack() as stack:
        report = Report(stack.enter_context(_opened(rejects)) if rejects else None)
        display = _display(report, progress)
        place = place_of(url, key, data_dir)
        delivery = stack.enter_context(_delivery(place, bucket, timeout, compress, display))
        with _summed_up(display, report, quiet=quiet), display.showing(total) as turn_to:
            deliver(_batches(paths, reading, name, turn_to), delivery, report)
    if report.totals.rejected:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _reading(
    format: str, pairs: list[str], service: str | None, level: str | None, *, utc: bool, waits: bool
) -> Reading:
    from headrace.cli.sending.defaults import Defaults
    from headrace.cli.sending.detect import Format
    from headrace.cli.sending.encode import Reading

    if format not in tuple(Format):
        raise Failure(f"--format {format!r} is none of {', '.join(Format)}.", ExitCode.USAGE)
    defaults = Defaults(pairs, service=service, level=level)
    return Reading(Format(format), defaults, UTC if utc else None, None if waits else _IDLE_SECONDS)


def _total_size(paths: list[Path]) -> int | None:
    """Bytes on disk, None with a stream among them. Raises Failure, before anything is sent, for what is not there."""
    total: int | None = 0
    for path in paths:
        if str(path) == "-":
            total = None
        elif path.is_dir():
            raise Failure(f"{path} is a directory: name the files in it.", ExitCode.USAGE)
        else:
            total = _plus(total, path)
    return total


def _plus(total: int | None, path: Path) -> int | None:
    try:
        status = path.stat()
    except OSError as exc:
        raise Failure(f"{path} cannot be opened: {exc.strerror}.", ExitCode.USAGE) from exc
    return total + status.st_size if total is not None and path.is_file() else None


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("wb")
    except OSError as exc:
        raise Failure(f"{path} cannot be written: {exc.strerror}.", ExitCode.USAGE) from exc


def _display(report: Report, bar: bool | None) -> Display:
    from rich.console import Console

    from headrace.cli.sending.progress import Display

    console = Console(stderr=True)
    return Display(console, report, bar=console.is_terminal if bar is None else bar)


@contextmanager
def _delivery(
    place: Place, bucket: str, timeout: float | None, compress: bool | None, display: Display
) -> Iterator[Delivery]:
    from headrace.cli.sending.delivery import Delivery, Options

    packs = not place.find().is_local if compress is None else compress  # to ourselves it costs more than it saves
    delivery = Delivery(place, Options(bucket, packs, timeout), display.notice)
    try:
        yield delivery
    finally:
        delivery.close()


@contextmanager
def _summed_up(display: Display, report: Report, *, quiet: bool) -> Iterator[None]:
    """Say at the end what became of it, also when it ended too soon."""
    try:
        yield
    except (Failure, KeyboardInterrupt):
        display.summary()
        raise
    if not quiet or report.totals.rejected:
        display.summary()


def _batches(
    paths: list[Path], reading: Reading, name: str | None, turn_to: Callable[[Source], None]
) -> Iterator[Batch | Refused]:
    from headrace.cli.sending.batch import Keys
    from headrace.cli.sending.detect import Format, detect
    from headrace.cli.sending.encode import batches
    from headrace.cli.sending.source import open_source

    for number, path in enumerate(paths):
        source = open_source(path)
        turn_to(source)
        try:
            sample = source.sample()
            kind = reading.format if reading.format is not Format.AUTO else detect(sample, source.name)
            run = f"{name} {number}" if name else source.identity or secrets.token_hex(16)
            keys = Keys(f"{run}\n{kind}\n{reading.defaults.fingerprint}", "" if name else source.version)
            yield from batches(source, replace(reading, format=kind), keys)
        finally:
            source.close()
