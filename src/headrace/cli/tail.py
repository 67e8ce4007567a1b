"""`headrace tail`: events as they are stored, across restarts of the server without a gap."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from headrace.cli.client import Bucket, DataDir, Key, Place, Url, connect, place_of, refusal, unreachable
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.filters import Action, Actor, Level, MinLevel, Params, Service, Where, params_of

if TYPE_CHECKING:
    import httpx2

_SILENCE_SECONDS = 40.0  # a heartbeat comes every 15 s: after this the connection is dead
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0


def tail(
    where: Where = None,
    bucket: Bucket = "default",
    level: Level = None,
    min_level: MinLevel = None,
    service: Service = None,
    action: Action = None,
    actor: Actor = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text or ndjson.")] = "text",
    utc: Annotated[bool, typer.Option("--utc", help="Show times in UTC, not in the zone of this machine.")] = False,
    colour: Annotated[bool | None, typer.Option("--color/--no-color", help="Default: on a terminal.")] = None,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Watch events as they are stored, until Ctrl-C. After a restart of the server it goes on where it was."""
    import msgspec

    from headrace.cli.answers import Event
    from headrace.cli.terminal import Lines

    if output not in ("text", "ndjson"):
        raise Failure(f"--output {output!r} is none of text, ndjson.", ExitCode.USAGE)
    params = params_of(where, level=level, min_level=min_level, service=service, action=action, actor=actor)
    lines, decode = Lines(utc=utc, colour=colour), msgspec.json.Decoder(Event).decode
    for data in follow(place_of(url, key, data_dir), bucket, params):
        if output == "ndjson":
            sys.stdout.write(data + "\n")
            sys.stdout.flush()
        else:
            lines.print(decode(data))


def follow(place: Place, bucket: str, params: Params) -> Iterator[str]:
    """The JSON of each event, for ever. Raises Failure when no server is there at first, or it refuses."""
    import httpx2

    position = ""
    was_there = False
    wait = _FIRST_WAIT
    while True:
        server = None
        try:
            server = place.find()
            with connect(server, read_seconds=_SILENCE_SECONDS) as client:
                for reached, data in _stream(client, bucket, params, position):
                    was_there, wait, position = True, _FIRST_WAIT, reached
                    if data:
                        yield data
        except (httpx2.TransportError, Failure) as exc:
            if not was_there or (isinstance(exc, Failure) and exc.exit_code is not ExitCode.UNREACHABLE):
                raise exc if isinstance(exc, Failure) or not server else unreachable(server.url, exc) from exc
        if wait == _FIRST_WAIT:
            typer.secho("the server is away; waiting for it", fg="yellow", err=True)
        time.sleep(wait)
        wait = min(wait * 2, _LONGEST_WAIT)


def _stream(client: httpx2.Client, bucket: str, params: Params, position: str) -> Iterator[tuple[str, str]]:
    """(position, data) of one connection until it ends; data is empty for heartbeats."""
    headers = {"accept": "text/event-stream", **({"last-event-id": position} if position else {})}
    path = f"/v1/buckets/{quote(bucket, safe='')}/tail"
    with client.stream("GET", path, params=params, headers=headers) as response:
        if not response.is_success:
            raise refusal(response)
        data = ""
        for line in response.iter_lines():
            if line.startswith("id:"):
                position = line[3:].strip()
            elif line.startswith("data:"):
                data = line[5:].strip()
            elif not line:  # only now is it whole: a position seen without its data would skip it for good
                yield position, data
                data = ""
