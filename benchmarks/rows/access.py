"""What access costs: single events with each kind of credential, and beside many who sign in."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from benchmarks.context import Bench, Round, middle
from benchmarks.figure import Figure, Target, TimesAtLeast, TimesAtMost
from benchmarks.http import Client
from benchmarks.load.job import Job
from benchmarks.servers import Headrace

ROW = "access"
_WARM_SECONDS = 0.4
_BOOTSTRAP, _KEY, _JWT = "bootstrap key", "granted and limited key", "user's access token"
_TARGETS: dict[str, Target] = {_KEY: TimesAtLeast(0.9), _JWT: TimesAtLeast(0.85)}
_RATE_LIMIT = 10_000_000  # a limit that is counted and never reached
_PASSWORD = "a bench beside the mill race"
_CALM, _STORM = "nobody signing in", "20 sign-ins a second"
_LOGINS_PER_SECOND = 20
_LOGIN_THREADS = 10
_EVENTS_PER_SECOND = 2_000.0


def measure(bench: Bench) -> list[Figure]:
    with bench.headrace("access") as server:
        credentials = _credentials(server)
        return [*_rates(bench, server, credentials), *_storm(bench, server, credentials[_KEY])]


def _credentials(server: Headrace) -> dict[str, str]:
    """The key belongs to the user, as those of people do."""
    person = {"username": "bench", "email": "bench@example.com", "password": _PASSWORD, "role": "admin"}
    with server.client() as admin:
        _made(admin, "/v1/users", person)
        token = _made(admin, "/v1/auth/login", {"username": "bench", "password": _PASSWORD})["access_token"]
    grants = [{"bucket": "default", "permissions": ["write"]}]
    with Client(server.port, token) as user:
        key = _made(user, "/v1/keys", {"name": "bench", "grants": grants, "rate_limit": _RATE_LIMIT})["key"]
    return {_BOOTSTRAP: server.key, _KEY: key, _JWT: token}


def _made(client: Client, path: str, body: Mapping[str, object]) -> Any:
    answer = client.post(path, msgspec.json.encode(body))
    if answer.status not in (200, 201):
        raise RuntimeError(f"POST {path}: {answer.status} {answer.body[:300]!r}")
    return msgspec.json.decode(answer.body)


# --- rates ----------------------------------------------------------------------------------------------------------


def _rates(bench: Bench, server: Headrace, credentials: dict[str, str]) -> list[Figure]:
    """Short rounds with each credential in turn, on the one server."""
    rounds: dict[str, list[Round]] = {name: [] for name in credentials}
    for key in credentials.values():
        bench.measured(server, _job(server, key, _WARM_SECONDS))
    for number in range(bench.scale.rounds):
        for name, key in credentials.items():
            rounds[name].append(bench.measured(server, _job(server, key, bench.scale.round_seconds)))
        rates = ", ".join(f"{name} {done[-1].result.per_second:,.0f}/s" for name, done in rounds.items())
        bench.tell(f"access {number + 1}/{bench.scale.rounds}: {rates}")
    return [
        Figure(
            row=ROW,
            name=f"single POST, {name}",
            value=middle(rounds[name], _per_second),
            unit="requests/s",
            against=_BOOTSTRAP,
            reference=middle(rounds[_BOOTSTRAP], _per_second),
            target=target,
            detail={
                "cpu_seconds_per_million": middle(rounds[name], _cost),
                "bootstrap_cpu_seconds_per_million": middle(rounds[_BOOTSTRAP], _cost),
                **{f"round_{number}": _per_second(done) for number, done in enumerate(rounds[name], 1)},
            },
        )
        for name, target in _TARGETS.items()
    ]


def _job(server: Headrace, key: str, seconds: float, rate: float | None = None) -> Job:
    return Job(kind="single", port=server.port, key=key, seconds=seconds, rate=rate)


def _per_second(done: Round) -> float:
    return done.result.per_second


def _cost(done: Round) -> float:
    return 1_000_000 / done.events_per_cpu_second


# --- a storm of sign-ins ----------------------------------------------------------------------------------------------


def _storm(bench: Bench, server: Headrace, key: str) -> list[Figure]:
    """The same steady load with and without people who sign in, in turn."""
    calm: list[Round] = []
    stormy: list[Round] = []
    logins: Counter[int] = Counter()
    for number in range(bench.scale.rounds):
        calm.append(bench.measured(server, _job(server, key, bench.scale.round_seconds, _EVENTS_PER_SECOND)))
        with _signing_in(server.port, logins):
            stormy.append(bench.measured(server, _job(server, key, bench.scale.round_seconds, _EVENTS_PER_SECOND)))
        bench.tell(
            f"sign-ins {number + 1}/{bench.scale.rounds}: p99 {calm[-1].result.p99:.2f} ms, "
            f"beside them {stormy[-1].result.p99:.2f} ms; answers so far {dict(logins)}"
        )
    if set(logins) != {200}:
        raise RuntimeError(f"the sign-ins were answered with {dict(logins)}")
    return [
        Figure(
            row=ROW,
            name=f"p99 of single POSTs, {_EVENTS_PER_SECOND:,.0f}/s, {_STORM}",
            value=middle(stormy, lambda done: done.result.p99),
            unit="ms",
            against=_CALM,
            reference=middle(calm, lambda done: done.result.p99),
            target=TimesAtMost(3),
            detail={"logins": float(logins.total()), "events_per_second": middle(stormy, _per_second)},
        )
    ]


@contextmanager
def _signing_in(port: int, answers: Counter[int]) -> Iterator[None]:
    """As many as are due begin to sign in, whether or not those before have been answered (up to some)."""
    over = threading.Event()
    began = time.perf_counter()
    threads = [
        threading.Thread(target=_sign_in, args=(port, began + turn / _LOGINS_PER_SECOND, over, answers))
        for turn in range(_LOGIN_THREADS)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _sign_in(port: int, due: float, over: threading.Event, answers: Counter[int]) -> None:
    body = msgspec.json.encode({"username": "bench", "password": _PASSWORD})
    with Client(port) as client:
        while not over.wait(max(0.0, due - time.perf_counter())):
            answers[client.post("/v1/auth/login", body).status] += 1
            due += _LOGIN_THREADS / _LOGINS_PER_SECOND
