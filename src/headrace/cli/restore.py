"""`headrace restore`: put a backup in the place of all data, with a server running or without."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from headrace.cli.client import (
    DataDir,
    Key,
    Place,
    Url,
    connect,
    default_data_dir,
    refusal,
    unreachable,
)
from headrace.cli.failure import ExitCode, Failure
from headrace.model.audit import AuditRecord

_MANIFEST = "manifest.json"
_PIECE_BYTES = 1024 * 1024
_BACK_SECONDS = 60.0
_POLL_SECONDS = 0.02


def restore(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that `headrace backup` made.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Replace all data by that of a backup. The backup is checked first; a running server then starts again with it.

    Without a running server the backup is laid ready in the data directory, for the next start. What it replaces is
    kept in the folder before-restore/ of the data directory until the next restore.
    """
    from headrace.cli.presence import holder_of

    files = _files_of(directory)
    data = data_dir or default_data_dir()
    place = Place(url, key, data)
    runs = url is not None or holder_of(data) is not None
    if not yes:
        where = place.find().url if runs else str(data)
        typer.confirm(f"Replace all data of {where} by the backup {directory}?", abort=True)
    if runs:
        _over_http(place, files)
    else:
        _in_place(data, files)


def _files_of(directory: Path) -> Sequence[Path]:
    """The files of a backup, the manifest last. Raises Failure for what is none."""
    manifest = directory / _MANIFEST
    if not manifest.is_file():
        newest = max(directory.glob("headrace-*/manifest.json"), default=None)
        hint = f" Perhaps you mean {newest.parent}." if newest else ""
        raise Failure(f"{directory} is no backup: there is no {_MANIFEST} in it.{hint}", ExitCode.USAGE)
    try:
        names = sorted(json.loads(manifest.read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise Failure(f"{manifest} cannot be read ({exc}).") from exc
    return [*(directory / Path(name).name for name in names), manifest]


def _over_http(place: Place, files: Sequence[Path]) -> None:
    import httpx2

    server = place.find()
    with connect(server, read_seconds=None) as client:
        try:
            response = client.post("/v1/restore", content=_tar(files), headers={"content-type": "application/x-tar"})
        except httpx2.TransportError as exc:
            raise unreachable(server.url, exc) from exc
        if not response.is_success:
            raise refusal(response)
    typer.echo("The backup is good; the server starts again with it …", err=True)
    deadline = time.monotonic() + _BACK_SECONDS
    while _is_ready(place) and time.monotonic() < deadline - _BACK_SECONDS / 2:
        time.sleep(_POLL_SECONDS)  # it finishes open requests first
    while not _is_ready(place):
        if time.monotonic() > deadline:
            raise Failure(f"{server.url} is not back after {_BACK_SECONDS:.0f} s: see its log.", ExitCode.UNREACHABLE)
        time.sleep(_POLL_SECONDS)
    typer.echo("restored")


def _is_ready(place: Place) -> bool:
    import httpx2

    try:
        server = place.find()  # anew: a port that was chosen for it may be another one now
        return httpx2.get(f"{server.url}/health/ready", timeout=5, trust_env=not server.is_local).is_success
    except (httpx2.TransportError, Failure):
        return False


def _tar(files: Sequence[Path]) -> Iterator[bytes]:
    """A tar of these files, as the server reads it."""
    from headrace.kit import tar

    for path in files:
        size = path.stat().st_size
        yield tar.header(path.name, size, int(path.stat().st_mtime))
        left = size
        with path.open("rb") as file:
            while left and (piece := file.read(min(left, _PIECE_BYTES))):
                left -= len(piece)
                yield piece
        yield tar.padding(size)
    yield tar.END


def _in_place(data: Path, files: Sequence[Path]) -> None:
    """Check the backup and lay it ready for the next start. Raises HeadraceError for what is wrong with it."""
    from headrace.adapters.system.clock import SystemClock
    from headrace.adapters.system.directory_lock import DirectoryLock
    from headrace.model.principal import Principal, Role
    from headrace.operations.restore import Restore

    names = frozenset(path.name for path in files if path.name != _MANIFEST)
    with DirectoryLock(data, wait=0):
        stages = Restore(
            data,
            names,
            SystemClock(),
            _NoAudit(),
            free_bytes=lambda: shutil.disk_usage(data).free,
            restart=lambda: None,
        )
        asyncio.run(stages.stage(Principal("cli", "cli", "headrace restore", Role.ADMIN), _chunks(files)))
    typer.echo(f"ready: the next server on {data} starts with the backup")


async def _chunks(files: Sequence[Path]) -> AsyncIterator[bytes]:
    for piece in _tar(files):
        yield piece


class _NoAudit:
    """There is no server to keep a record: what is replaced, its records included, is kept in before-restore/."""

    async def add(self, record: AuditRecord) -> None:
        pass

    async def pending(self, limit: int) -> Sequence[AuditRecord]:  # noqa: ARG002 - as the port has it
        return ()

    async def forwarded(self, ids: Sequence[int]) -> None:
        pass
