"""Fetching something large from the server, in constant memory, with a line of progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from headrace.cli.client import Server, connect, refusal, unreachable
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.filters import Params

_PIECE_BYTES = 256 * 1024
_SHOW_SECONDS = 0.25


def stream(
    server: Server, path: str, params: Params, write: Callable[[bytes], object], *, progress: bool = False
) -> int:
    """Write the whole answer of a GET; its size in bytes. Raises Failure, also when it was cut off on the way."""
    import httpx2

    size = 0
    try:
        with connect(server, read_seconds=None) as client, client.stream("GET", path, params=params) as response:
            if not response.is_success:
                raise refusal(response)
            meter = _Meter(progress)
            for piece in response.iter_bytes(_PIECE_BYTES):
                write(piece)
                size += len(piece)
                meter.show(size)
            meter.end(size)
    except httpx2.TransportError as exc:
        if size:
            raise Failure(
                f"the connection was cut after {size:,} bytes ({exc}): what was fetched is not whole. Try again.",
                ExitCode.UNREACHABLE,
            ) from exc
        raise unreachable(server.url, exc) from exc
    return size


class _Meter:
    def __init__(self, shows: bool) -> None:
        self._shows = shows
        self._began = self._shown = time.monotonic()

    def show(self, size: int) -> None:
        now = time.monotonic()
        if self._shows and now - self._shown >= _SHOW_SECONDS:
            self._shown = now
            sys.stderr.write(f"\r{size / 1e6:,.1f} MB, {size / 1e6 / (now - self._began):,.1f} MB/s ")
            sys.stderr.flush()

    def end(self, size: int) -> None:
        if self._shows:
            sys.stderr.write(f"\r{size / 1e6:,.1f} MB in {time.monotonic() - self._began:.1f} s      \n")
