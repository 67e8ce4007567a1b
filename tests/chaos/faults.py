"""What is done to the server, chosen by the seed. Each returns after the server has ended, or is well again."""

from __future__ import annotations

import asyncio
import random
import signal
from dataclasses import dataclass

from tests.chaos.traffic import Traffic
from tests.support.server import Server

POINTS = {"queue.before_commit": 150, "queue.after_commit": 150, "drain.after_write": 4}
"""The named points, and up to which passage the server may come before it dies there."""

LONGEST = 8.0


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL `seconds` after the load is under way, or at a named point (or `LONGEST`, if it is never reached)."""

    seconds: float = 0.0
    point: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {"HEADRACE_FAILPOINT": self.point} if self.point else {}

    async def strike(self, server: Server, traffic: Traffic) -> None:
        if not self.point:
            await under_way(traffic)
        await ends_within(server, LONGEST if self.point else self.seconds)
        await asyncio.to_thread(server.kill)

    def __str__(self) -> str:
        return f"SIGKILL at {self.point}" if self.point else f"SIGKILL after {self.seconds:.3f} s"


@dataclass(frozen=True, slots=True)
class Stop:
    """SIGSTOP for a while, then SIGCONT, then SIGKILL."""

    seconds: float

    @property
    def environment(self) -> dict[str, str]:
        return {}

    async def strike(self, server: Server, traffic: Traffic) -> None:
        assert server.process is not None
        await under_way(traffic)
        server.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.seconds)
        server.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(server.kill)

    def __str__(self) -> str:
        return f"SIGSTOP for {self.seconds:.1f} s, then SIGKILL"


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM: everything is finished in good order."""

    seconds: float

    @property
    def environment(self) -> dict[str, str]:
        return {}

    async def strike(self, server: Server, traffic: Traffic) -> None:
        await under_way(traffic)
        await asyncio.sleep(self.seconds)
        status = await asyncio.to_thread(server.stop)
        if status:
            raise AssertionError(f"SIGTERM ended the server with status {status}")

    def __str__(self) -> str:
        return f"SIGTERM after {self.seconds:.3f} s"


Fault = Kill | Stop | Terminate


def choose(chance: random.Random, *, stop_seconds: tuple[float, float] = (1.0, 5.0)) -> Fault:
    """Half of them at a random moment, a third at a named point."""
    dice = chance.random()
    if dice < 0.5:
        return Kill(seconds=chance.uniform(0.0, 0.6))
    if dice < 0.88:
        point = chance.choice(sorted(POINTS))
        return Kill(point=f"{point}:{chance.randint(1, POINTS[point])}")
    if dice < 0.95:
        return Terminate(chance.uniform(0.1, 0.5))
    return Stop(chance.uniform(*stop_seconds))


async def under_way(traffic: Traffic, events: int = 50, seconds: float = 20) -> None:
    """Until so many more events are acknowledged, so that a slow machine is not hit before it did anything."""
    enough = traffic.acknowledged + events
    deadline = asyncio.get_running_loop().time() + seconds
    while traffic.acknowledged < enough and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - a number
        await asyncio.sleep(0.005)


async def ends_within(server: Server, seconds: float) -> None:
    """Until it ends by itself, at most so long."""
    assert server.process is not None
    deadline = asyncio.get_running_loop().time() + seconds
    while server.process.poll() is None and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - a process
        await asyncio.sleep(0.005)
