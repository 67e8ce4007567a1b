"""`headrace query`: find events, as a table, JSON or CSV."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from headrace.cli.client import Bucket, DataDir, Key, Url, call, connect, place_of
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.filters import Action, Actor, Level, MinLevel, Params, Service, Since, Until, Where, params_of

if TYPE_CHECKING:
    import httpx2
    import msgspec

_MOST_A_PAGE = 1_000


def query(
    where: Where = None,
    bucket: Bucket = "default",
    since: Since = None,
    until: Until = None,
    level: Level = None,
    min_level: MinLevel = None,
    service: Service = None,
    action: Action = None,
    actor: Actor = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="At most so many; 0 for all.")] = 100,
    order: Annotated[str, typer.Option(help="desc: newest first; asc: oldest first.")] = "desc",
    output: Annotated[str, typer.Option("--output", "-o", help="table, json, ndjson or csv.")] = "table",
    utc: Annotated[bool, typer.Option("--utc", help="Show times in UTC, not in the zone of this machine.")] = False,
    colour: Annotated[bool | None, typer.Option("--color/--no-color", help="Default: on a terminal.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Find events. Pages are fetched one after the other, so that any --limit takes constant memory."""
    writers = {"table": _Table(utc=utc, colour=colour).write, "json": _json, "ndjson": _ndjson, "csv": _csv}
    write: Callable[[Iterator[msgspec.Raw]], None] | None = writers.get(output)
    if write is None:
        raise Failure(f"--output {output!r} is none of {', '.join(writers)}.", ExitCode.USAGE)
    params = params_of(
        where, since=since, until=until, level=level, min_level=min_level, service=service, action=action, actor=actor
    )
    with connect(place_of(url, key, data_dir).find()) as client:
        write(found(client, bucket, [*params, ("order", order)], limit))


def found(client: httpx2.Client, bucket: str, params: Params, limit: int) -> Iterator[msgspec.Raw]:
    """The JSON of up to `limit` events (0: all), page by page. Raises Failure."""
    import msgspec

    from headrace.cli.answers import Page

    path = f"/v1/buckets/{quote(bucket, safe='')}/events"
    left = limit or sys.maxsize
    cursor: str | None = ""
    while left and cursor is not None:
        asked = [*params, ("limit", str(min(left, _MOST_A_PAGE))), *([("cursor", cursor)] if cursor else [])]
        page = msgspec.json.decode(call(client, "GET", path, params=asked).content, type=Page)
        yield from page.events
        left -= len(page.events)
        cursor = page.next_cursor


class _Table:
    def __init__(self, *, utc: bool, colour: bool | None) -> None:
        self._utc = utc
        self._colour = colour

    def write(self, events: Iterator[msgspec.Raw]) -> None:
        import msgspec

        from headrace.cli.answers import Event
        from headrace.cli.terminal import Lines

        lines, decode = Lines(utc=self._utc, colour=self._colour), msgspec.json.Decoder(Event).decode
        count = 0
        for event in events:
            if not count:
                lines.header()
            lines.print(decode(event))
            count += 1
        if not count:
            typer.echo("no event matches", err=True)


def _json(events: Iterator[msgspec.Raw]) -> None:
    out = sys.stdout.buffer
    separator = b"["
    for event in events:
        out.write(separator + b"\n" + bytes(event))
        separator = b","
    out.write(b"[]\n" if separator == b"[" else b"\n]\n")


def _ndjson(events: Iterator[msgspec.Raw]) -> None:
    for event in events:
        sys.stdout.buffer.write(bytes(event).replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")


def _csv(events: Iterator[msgspec.Raw]) -> None:
    import csv

    import msgspec

    from headrace.cli.answers import CSV_COLUMNS, Event, csv_cells

    decode = msgspec.json.Decoder(Event).decode
    rows = csv.writer(sys.stdout, lineterminator="\r\n")
    rows.writerow(CSV_COLUMNS)
    for event in events:
        rows.writerow(csv_cells(decode(event)))
