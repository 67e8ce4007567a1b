"""What is done to a site on PostgreSQL, chosen by the seed: to its processes, its database and the way between them."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tests.chaos.faults import LONGEST, POINTS, ends_within, under_way
from tests.chaos.site import RECOVERY_SECONDS, Site, Watch
from tests.chaos.traffic import Asked, Traffic
from tests.support.tcp_proxy import Wanted, puts, stores

FIRST_REFUSAL = 6.5
"""Seconds until a request is refused that finds the database away: `connect_timeout` and a bit."""
REFUSAL = 1.0
"""The same once the breaker is open."""
OPEN_AFTER = 7.0
"""Seconds from the beginning of an outage until it is."""
_LIVE = 2.0
_REACTION = 0.3


class Outage(Protocol):
    """`strike` returns when it is over, or when something has ended that must be started again."""

    async def strike(self, site: Site, traffic: Traffic) -> None: ...


@dataclass(frozen=True, slots=True)
class KillProcess:
    """SIGKILL of one API process or worker at some moment, or at a named point of a new one in its place."""

    number: int
    seconds: float = 0.0
    point: str = ""

    async def strike(self, site: Site, traffic: Traffic) -> None:
        server = site.processes[self.number % len(site.processes)]
        await under_way(traffic)
        if self.point:
            await asyncio.to_thread(server.kill)
            server.start(env={"HEADRACE_FAILPOINT": self.point}, wait=False)
        await ends_within(server, LONGEST if self.point else self.seconds)
        await asyncio.to_thread(server.kill)

    def __str__(self) -> str:
        return f"SIGKILL of process {self.number + 1} " + (self.point or f"after {self.seconds:.3f} s")


@dataclass(frozen=True, slots=True)
class StopProcess:
    """SIGSTOP of one API process or worker for a while: the others go on, with what it has locked, too."""

    number: int
    seconds: float

    async def strike(self, site: Site, traffic: Traffic) -> None:
        chosen = self.number % len(site.processes)
        stopped = site.processes[chosen].process
        assert stopped is not None
        await under_way(traffic)
        stopped.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            others = [server.port for server in site.servers if server.process is not stopped]
            while time.monotonic() < began + self.seconds:
                stored = [await traffic.probe(port) for port in others]
                if stored and all(stored):
                    break
                await asyncio.sleep(0.1)
            took = time.monotonic() - began
            if others and took > RECOVERY_SECONDS:
                traffic.broken.append(f"nothing was stored for {took:.0f} s, since process {chosen + 1} was stopped")
            await asyncio.sleep(max(0, began + self.seconds - time.monotonic()))
        finally:
            stopped.send_signal(signal.SIGCONT)

    def __str__(self) -> str:
        return f"SIGSTOP of process {self.number + 1} for {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class KillDatabase:
    """SIGKILL of all processes of PostgreSQL, or its own immediate stop; started again after some seconds."""

    how: str
    seconds: float

    async def strike(self, site: Site, traffic: Traffic) -> None:
        end = site.cluster.kill if self.how == "SIGKILL" else lambda: site.cluster.stop("immediate")
        await _away(site, traffic, lambda: asyncio.to_thread(end), self.seconds)

    def __str__(self) -> str:
        return f"PostgreSQL: {self.how}, away for {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class KillAll:
    """SIGKILL of everything at once."""

    seconds: float

    async def strike(self, site: Site, traffic: Traffic) -> None:
        await under_way(traffic)
        await asyncio.sleep(self.seconds)
        ends = [*(process.kill for process in site.processes), site.cluster.kill]
        await asyncio.gather(*(asyncio.to_thread(end) for end in ends))

    def __str__(self) -> str:
        return f"SIGKILL of everything after {self.seconds:.3f} s"


@dataclass(frozen=True, slots=True)
class PauseDatabase:
    """SIGSTOP of all processes of PostgreSQL: connections stay open, and nothing answers."""

    seconds: float

    async def strike(self, site: Site, traffic: Traffic) -> None:
        try:
            await _away(site, traffic, lambda: asyncio.to_thread(site.cluster.pause), self.seconds)
        finally:
            site.cluster.resume()

    def __str__(self) -> str:
        return f"PostgreSQL stands still for {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class LoseNetwork:
    """Nothing comes through (`black hole`), or nobody listens (`refused`)."""

    how: str
    seconds: float

    async def strike(self, site: Site, traffic: Traffic) -> None:
        begin = site.proxy.black_hole if self.how == "black hole" else site.proxy.refuse
        await _away(site, traffic, lambda: asyncio.to_thread(begin), self.seconds)

    def __str__(self) -> str:
        return f"network: {self.how} for {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class SlowNetwork:
    """Each chunk comes late, or a byte at a time: what works is right, and the rest is refused in time."""

    how: str
    seconds: float

    async def strike(self, site: Site, traffic: Traffic) -> None:
        await under_way(traffic)
        async with Watch(site) as watch:
            began = time.monotonic()
            await asyncio.to_thread(site.proxy.slow if self.how == "slow" else site.proxy.trickle, 0.05)
            await asyncio.sleep(self.seconds)
            traffic.broken += _unresponsive(watch)
            traffic.broken += list(_late(traffic.asked, began, began + self.seconds))

    def __str__(self) -> str:
        return f"network: {self.how} for {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class ResetConnections:
    """RST for all connections, several times."""

    times: int

    async def strike(self, site: Site, traffic: Traffic) -> None:
        for _ in range(self.times):
            await under_way(traffic)
            await asyncio.to_thread(site.proxy.reset)

    def __str__(self) -> str:
        return f"network: {self.times} resets"


COMMITS: dict[str, Wanted] = {"any": lambda _: True, "queue": puts, "store": stores}


@dataclass(frozen=True, slots=True)
class LoseAnswers:
    """Commits are done, and their answers lost to a reset."""

    of: str
    times: int
    seconds: float = 5.0

    async def strike(self, site: Site, traffic: Traffic) -> None:
        await under_way(traffic)
        enough = site.proxy.commits_cut + self.times
        site.proxy.reset_after_commit(COMMITS[self.of], self.times)
        deadline = time.monotonic() + self.seconds
        while site.proxy.commits_cut < enough and time.monotonic() < deadline:  # noqa: ASYNC110 - a thread's number
            await asyncio.sleep(0.02)
        site.proxy.reset_after_commit(times=0)

    def __str__(self) -> str:
        return f"answers to {self.times} commits ({self.of}) are lost"


def choose_outage(chance: random.Random, *, long: tuple[float, float] = (5, 20)) -> Outage:
    """Any of them; `long` are the seconds of what is away."""
    seconds = chance.uniform(*long) if chance.random() < 0.5 else chance.uniform(0.2, 2)
    number = chance.randrange(8)
    point = chance.choice(sorted(POINTS))
    return chance.choice((
        KillProcess(number, seconds=chance.uniform(0, 0.6)),
        KillProcess(number, point=f"{point}:{chance.randint(1, POINTS[point])}"),
        StopProcess(number, seconds),
        KillDatabase("SIGKILL", min(seconds, 2)),
        KillDatabase("immediate stop", min(seconds, 2)),
        KillAll(chance.uniform(0, 0.6)),
        PauseDatabase(seconds),
        LoseNetwork("black hole", seconds),
        LoseNetwork("refused", seconds),
        SlowNetwork(chance.choice(("slow", "trickle")), min(seconds, 5)),
        ResetConnections(chance.randint(1, 5)),
        LoseAnswers(chance.choice(sorted(COMMITS)), chance.randint(1, 6)),
    ))  # fmt: skip


async def _away(site: Site, traffic: Traffic, begin: Callable[[], Awaitable[None]], seconds: float) -> None:
    """The database cannot be reached for so long: nothing is acknowledged (or, with a spool, everything), refusals come
    soon, and the rest lives."""
    await under_way(traffic)
    async with Watch(site) as watch:
        await begin()
        began = time.monotonic()
        await asyncio.sleep(seconds)
        traffic.broken += _unresponsive(watch)
    wrong = {503} if site.spools else {201, 202}
    traffic.broken += list(_wrong(traffic.asked, began, began + seconds, wrong))
    traffic.broken += list(_late(traffic.asked, began, began + seconds))


def _unresponsive(watch: Watch) -> list[str]:
    return [f"a server was silent for {watch.slowest:.1f} s"] if watch.slowest > _LIVE else []


def _wrong(asked: list[Asked], began: float, ended: float, wrong: set[int]) -> Iterator[str]:
    for one in asked:
        if one.at > began and one.at + one.seconds < ended and one.status in wrong:
            yield f"{one.status} {one.at - began:.1f} s after the database was lost: {one.said}"


def _late(asked: list[Asked], began: float, ended: float) -> Iterator[str]:
    for one in asked:
        bound = REFUSAL if one.at > began + OPEN_AFTER else FIRST_REFUSAL
        refused = one.status not in {201, 202}
        if refused and began < one.at < ended and one.seconds > bound + _REACTION:
            what = f"{one.status}: {one.said}" if one.status else "nothing"
            yield f"{what}, {one.at - began:.1f} s after the fault began, took {one.seconds:.1f} s"
