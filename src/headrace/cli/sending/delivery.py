"""Handing one batch to the server, however long that takes. Safe to repeat: each batch carries its Idempotency-Key."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from headrace.cli.answers import Accepted, Problem
from headrace.cli.client import Place, connect, problem_text, refusal
from headrace.cli.failure import ExitCode, Failure
from headrace.cli.sending.batch import Batch

if TYPE_CHECKING:
    import httpx2

_FIRST_WAIT, _LONGEST_WAIT = 0.05, 3.0
_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))


class Stopped(Exception):
    """The delivery was told to stop before the batch was acknowledged."""


@dataclass(frozen=True, slots=True)
class Options:
    """`timeout`: give up when nothing was acknowledged for so many seconds; None never does."""

    bucket: str
    compress: bool
    timeout: float | None = None


class Delivery:
    """Thread-safe. `notice(text)` is called when the server goes away and with None when it is back."""

    def __init__(self, place: Place, options: Options, notice: Callable[[str | None], None]) -> None:
        self._place = place
        self._options = options
        self._notice = notice
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._server = place.find()
        self._client = connect(self._server)
        self._path = f"/v1/buckets/{quote(options.bucket, safe='')}/events"
        self._last_answer = time.monotonic()

    def stop(self) -> None:
        """End all waiting: `send` raises Stopped."""
        self._stop.set()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(self, batch: Batch) -> Accepted:
        """Returns once the server has the batch durably. Raises Failure when it never will, and Stopped."""
        import httpx2

        body, headers = self._packed(batch)
        wait, began = _FIRST_WAIT, time.monotonic()
        while not self._stop.is_set():
            client = self._client
            try:
                response = client.post(self._path, params={"ids": "false"}, content=body, headers=headers)
            except httpx2.TransportError as exc:
                delay = self._gone(client, str(exc) or type(exc).__name__, wait)
            else:
                if response.status_code not in _AGAIN:
                    self._answered()
                    return _read(response, batch)
                delay = self._busy(response, wait)
            self._pause(delay, began)
            wait = min(wait * 2, _LONGEST_WAIT)
        raise Stopped

    def _packed(self, batch: Batch) -> tuple[bytes, dict[str, str]]:
        headers = {"content-type": "application/x-ndjson", "idempotency-key": batch.key}
        if not self._options.compress:
            return batch.body, headers
        import zstandard

        headers["content-encoding"] = "zstd"
        return zstandard.ZstdCompressor(level=1).compress(batch.body), headers

    def _gone(self, client: httpx2.Client, why: str, wait: float) -> float:
        self._notice(f"{self._server.url} does not answer ({why}); trying again until it is back")
        self._look_again(client)
        return random.uniform(wait / 2, wait)  # noqa: S311 - so that several do not come at once

    def _busy(self, response: httpx2.Response, wait: float) -> float:
        self._notice(f"{self._server.url} cannot take it now ({problem_text(response)}); trying again")
        try:
            asked = float(response.headers.get("retry-after", 0))
        except ValueError:  # a date: rare, and our own pace is as good
            asked = 0.0
        return max(asked, wait) * random.uniform(1.0, 1.2)  # noqa: S311 - the same

    def _look_again(self, client: httpx2.Client) -> None:
        """A server that started again may have another port or key."""
        try:
            server = self._place.find()
        except Failure:  # while it is away there is no server.json
            return
        with self._lock:
            if server != self._server and client is self._client:
                self._server, self._client = server, connect(server)

    def _answered(self) -> None:
        self._last_answer = time.monotonic()
        self._notice(None)

    def _pause(self, seconds: float, began: float) -> None:
        timeout = self._options.timeout
        if timeout is not None:
            left = max(began, self._last_answer) + timeout - time.monotonic()
            if left <= 0:
                raise Failure(f"{self._server.url} has not taken anything for {timeout:g} s.", ExitCode.UNREACHABLE)
            seconds = min(seconds, left)
        self._stop.wait(seconds)


def _read(response: httpx2.Response, batch: Batch) -> Accepted:
    """What the server says of a batch. Raises Failure for an answer that concerns more than single items."""
    try:
        if response.is_success:
            return msgspec.json.decode(response.content, type=Accepted)
        if response.status_code == 422:
            errors = msgspec.json.decode(response.content, type=Problem).errors
            if errors and errors[0].index is not None:
                return Accepted(0, batch.origin.count(), errors)
    except msgspec.MsgspecError as exc:
        raise Failure(f"{response.url} answered what no Headrace does ({exc}).", ExitCode.REFUSED) from exc
    raise refusal(response)
