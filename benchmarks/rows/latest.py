"""The latest 100 events of a bucket: the hottest read, which must not depend on how many there are."""

from __future__ import annotations

from time import perf_counter

from benchmarks.context import Bench
from benchmarks.day import Day
from benchmarks.figure import AtMost, Figure
from benchmarks.http import Client
from benchmarks.percentile import Latency, from_histogram

ROW = "latest"
_ROUTE = 'headrace_http_request_seconds_bucket{le="'
_EVENTS = 'route="/v1/buckets/{bucket}/events"'
_TARGET = "/v1/buckets/default/events?limit=100"


def measure(bench: Bench, day: Day) -> Figure:
    with day.server.client() as client:
        before = _histogram(client)
        over_http = _ask(client, _TARGET, bench.scale.query_seconds)
        after = _histogram(client)
        empty = _ask(client, "/health/live", bench.scale.query_seconds / 2)
    counts = [(bound, count - before.get(bound, 0.0)) for bound, count in sorted(after.items())]
    inside = 1_000 * from_histogram(counts, 0.5)
    bench.tell(f"latest 100 of {day.stored:,}: p50 {inside:.2f} ms inside, {over_http.p50:.2f} ms over HTTP")
    return Figure(
        row=ROW,
        name=f"latest 100 of {day.stored / 1e6:.2g} M, p50 inside the server",
        value=inside,
        unit="ms",
        target=AtMost(1),
        orientation="VictoriaLogs, 2 M: 15 ms",
        detail={
            "p99_inside_ms": 1_000 * from_histogram(counts, 0.99),
            "p50_http_ms": over_http.p50,
            "p99_http_ms": over_http.p99,
            "p50_health_live_ms": empty.p50,
        },
    )


def _ask(client: Client, target: str, seconds: float) -> Latency:
    taken: list[float] = []
    end = perf_counter() + seconds
    while perf_counter() < end:
        answer = client.get(target)
        if answer.status != 200:
            raise RuntimeError(f"GET {target}: {answer.status} {answer.body[:300]!r}")
        taken.append(answer.seconds)
    return Latency.of(taken)


def _histogram(client: Client) -> dict[float, float]:
    """Bound in seconds → how many of the route's requests took no longer."""
    found: dict[float, float] = {}
    for line in client.get("/metrics").body.decode().splitlines():
        if line.startswith(_ROUTE) and _EVENTS in line:
            bound = line[len(_ROUTE) :].split('"', 1)[0]
            found[float(bound)] = float(line.rsplit(" ", 1)[1])
    return found
