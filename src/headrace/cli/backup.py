"""`headrace backup`: a consistent copy of everything, while the server runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import time
from collections.abc import Iterator
from io import RawIOBase
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from headrace.cli.client import DataDir, Key, Place, Url, connect, place_of, refusal, unreachable
from headrace.cli.failure import ExitCode, Failure

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MANIFEST = "manifest.json"
_PIECE_BYTES = 1024 * 1024


def backup(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where backups are kept; each is a folder in it.")],
    url: Url = None,
    key: Key = None,
    data_dir: DataDir = None,
) -> None:
    """Copy everything that the server holds into a new folder DIR/headrace-<time>, and print its path.

    The copy is checked against the checksums that the server sends with it; a folder that has its name is whole.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    folder = directory / f"headrace-{stamp}"
    part = directory / f".{folder.name}.part"
    try:
        part.mkdir(parents=True, mode=0o700)
        _fetch(place_of(url, key, data_dir), part)
        _sync(part)
        part.rename(folder)
        _sync(directory)
    except (OSError, tarfile.TarError) as exc:
        raise Failure(f"the backup could not be made: {exc}. Nothing was left in {directory}.") from exc
    finally:
        shutil.rmtree(part, ignore_errors=True)
    typer.echo(folder)


def _fetch(place: Place, folder: Path) -> None:
    import httpx2

    server = place.find()
    try:
        with connect(server, read_seconds=None) as client, client.stream("GET", "/v1/backup") as response:
            if not response.is_success:
                raise refusal(response)
            with tarfile.open(fileobj=_Reader(response.iter_bytes(_PIECE_BYTES)), mode="r|") as tar:
                digests = {member.name: _unpack(tar, member, folder) for member in tar}
    except httpx2.TransportError as exc:
        raise unreachable(server.url, exc) from exc
    _check(folder, digests)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> str:
    """Write one file durably; its SHA-256. A name that leads elsewhere is refused."""
    source = tar.extractfile(member)
    if source is None or Path(member.name).name != member.name:
        raise Failure(f"the server sent {member.name!r}, which is no file of a backup.", ExitCode.REFUSED)
    digest = hashlib.sha256()
    with (folder / member.name).open("xb") as file:
        while piece := source.read(_PIECE_BYTES):
            digest.update(piece)
            file.write(piece)
        _flush(file)
    return digest.hexdigest()


def _check(folder: Path, digests: dict[str, str]) -> None:
    if _MANIFEST not in digests:
        raise Failure("the backup was cut off. Try again.", ExitCode.UNREACHABLE)
    files = json.loads((folder / _MANIFEST).read_bytes())["files"]
    told = {name: file["sha256"] for name, file in files.items()}
    if told != {name: digest for name, digest in digests.items() if name != _MANIFEST}:
        raise Failure("the backup differs from its checksums. Try again.")


class _Reader(RawIOBase):
    """Pieces of bytes as a file that can be read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        self._rest = self._rest or next(self._pieces, b"")
        size = min(len(self._rest), len(view))
        view[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
