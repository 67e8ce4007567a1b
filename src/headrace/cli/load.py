"""A short load on a running server: how many events a second, and how long each request takes.

A client library would be the bottleneck (httpx2 makes 2,000 requests a second, the server takes ten times that), so
the requests are written once as bytes and sent over plain connections.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import quote, urlsplit

import typer

from headrace.cli.client import Server, unreachable
from headrace.cli.traffic import generate
from headrace.kit.times import DAY, from_epoch

_BATCH_EVENTS = 1_000
_BATCH_CONNECTIONS = 4
_VARIETY = 20_000  # different events in the load, sent over and over
_PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class Measured:
    """One kind of load. `seconds` are those that passed, `latencies` those of each request, sorted."""

    name: str
    events_per_request: int
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def events_per_second(self) -> float:
        """Acknowledged events."""
        taken = self.statuses[202] + self.statuses[201]
        return taken * self.events_per_request / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """Seconds that this share of the requests took at most."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)] if self.latencies else 0.0


def measure(server: Server, bucket: str, *, seconds: float, connections: int, seed: int) -> Sequence[Measured]:
    """Single events, then batches of 1,000. Raises Failure when no server answers."""
    events = list(generate(_VARIETY, seed, from_epoch(time.time()) - DAY))
    head = _head(server, bucket)
    bodies = [b"".join(events[at : at + _BATCH_EVENTS]) for at in range(0, _VARIETY, _BATCH_EVENTS)]
    singles = [_request(head, b"application/json", event) for event in events]
    batches = [_request(head, b"application/x-ndjson", body) for body in bodies]
    try:
        one = asyncio.run(_run(server, singles, Measured("single events", 1), seconds, connections))
        many = Measured("batches of 1,000", _BATCH_EVENTS)
        return [one, asyncio.run(_run(server, batches, many, seconds, _BATCH_CONNECTIONS))]
    except OSError as exc:
        raise unreachable(server.url, exc) from exc


def show(results: Sequence[Measured], connections: int) -> None:
    """A table on standard output."""
    typer.secho(f"{'load':<18} {'events/s':>10} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}  answers", bold=True)
    for result in results:
        answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(result.statuses.items()))
        p50, p99, longest = (result.percentile(share) * 1_000 for share in (0.5, 0.99, 1.0))
        times = f"{p50:>8.2f} {p99:>8.2f} {longest:>8.2f}"
        typer.echo(f"{result.name:<18} {result.events_per_second:>10,.0f} {times}  {answers}")
    typer.echo(f"{connections} connections for single events; every answer means: durable on disk. This client shares")
    typer.echo("the machine's CPU with a server that runs beside it; ./dev bench gives each a core of its own.")


def _head(server: Server, bucket: str) -> bytes:
    parts = urlsplit(server.url)
    path = f"{parts.path}/v1/buckets/{quote(bucket, safe='')}/events?ids=false"
    return (f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {server.key}\r\n").encode()


def _request(head: bytes, content_type: bytes, body: bytes) -> bytes:
    return head + b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (content_type, len(body), body)


async def _run(
    server: Server, requests: Sequence[bytes], result: Measured, seconds: float, connections: int
) -> Measured:
    parts = urlsplit(server.url)
    tls = ssl.create_default_context() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    loop = asyncio.get_running_loop()
    began = loop.time()
    supply = cycle(requests)

    def connection() -> _Connection:
        return _Connection(lambda: next(supply) if loop.time() - began < seconds else None, result, loop)

    made = [await loop.create_connection(connection, parts.hostname or "", port, ssl=tls) for _ in range(connections)]
    await asyncio.wait_for(asyncio.gather(*(protocol.done for _, protocol in made)), seconds + _PATIENCE_SECONDS)
    result.seconds = loop.time() - began
    result.latencies.sort()
    return result


class _Connection(asyncio.Protocol):
    """One request after the other until `supply` has no more. Understands as much HTTP as our server speaks."""

    def __init__(self, supply: Callable[[], bytes | None], result: Measured, loop: asyncio.AbstractEventLoop) -> None:
        self._supply = supply
        self._result = result
        self._transport: asyncio.WriteTransport | None = None
        self._data = b""
        self._began = 0.0
        self.done: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._result.latencies.append(time.perf_counter() - self._began)
        self._result.statuses[int(head[9:12])] += 1
        self._data = b""
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def _next(self) -> None:
        assert self._transport is not None
        request = self._supply()
        if request is None:
            self.done.set_result(None)
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0] or 0)
