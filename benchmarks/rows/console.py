"""Pages of the console on a day of events: what the server takes for one, from the request to its last byte."""

from __future__ import annotations

from http.client import HTTPConnection
from time import perf_counter
from urllib.parse import urlencode

import msgspec

from benchmarks.context import Bench
from benchmarks.day import Day
from benchmarks.figure import AtMost, Figure
from benchmarks.http import Client
from benchmarks.percentile import Latency
from benchmarks.servers import Headrace

ROW = "console"
_PAGES = {
    "overview": "/",
    "explore, the last hour": "/explore/default?since=1h",
    "explore, the whole day": "/explore/default?since=24h",
    "explore, errors of the day": "/explore/default?since=24h&min_level=error",
    "audit": "/audit/_audit",
    "buckets": "/admin/buckets",
    "status": "/admin/status",
}
_WHO = {"username": "onlooker", "password": "six drums under the ferry"}


def measure(bench: Bench, day: Day) -> list[Figure]:
    cookie = _signed_in(day.server)
    with Client(day.server.port, cookie=cookie) as client:
        return [_figure(bench, client, day, name, path) for name, path in _PAGES.items()]


def _figure(bench: Bench, client: Client, day: Day, name: str, path: str) -> Figure:
    _ask(client, path)  # templates are compiled at their first use
    taken: list[float] = []
    end = perf_counter() + bench.scale.query_seconds
    while perf_counter() < end or not taken:
        taken.append(_ask(client, path))
    asked = Latency.of(taken)
    bench.tell(f"console, {name}: p50 {asked.p50:.1f} ms, p99 {asked.p99:.1f} ms")
    return Figure(
        row=ROW,
        name=f"page, {name}, {day.stored / 1e6:.2g} M, p50",
        value=asked.p50,
        unit="ms",
        target=AtMost(100),
        detail={"p99_ms": asked.p99, "asked": asked.count},
    )


def _ask(client: Client, path: str) -> float:
    answer = client.get(path)
    if answer.status != 200:
        raise RuntimeError(f"GET {path}: {answer.status} {answer.body[:300]!r}")
    return answer.seconds


def _signed_in(server: Headrace) -> str:
    """The cookie of a new administrator who went through the form."""
    with server.client() as client:
        user = {**_WHO, "email": "onlooker@example.com", "role": "admin"}
        made = client.post("/v1/users", msgspec.json.encode(user))
    if made.status != 201:
        raise RuntimeError(f"no user for the console: {made.status} {made.body!r}")
    asked = HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{server.port}",
        "Sec-Fetch-Site": "same-origin",
    }  # fmt: skip
    asked.request("POST", "/sign-in", urlencode(_WHO), headers)
    answer = asked.getresponse()
    cookie = (answer.getheader("set-cookie") or "").split(";")[0]
    asked.close()
    if not cookie:
        raise RuntimeError(f"the form at /sign-in gave no cookie: {answer.status}")
    return cookie
