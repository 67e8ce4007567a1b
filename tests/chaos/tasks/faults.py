"""What is done to one server (or worker) that runs tasks, and to the children in which handlers run, chosen by the
seed."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

import psutil

from tests.chaos.faults import LONGEST, ends_within, under_way
from tests.chaos.tasks.traffic import TaskTraffic
from tests.support.server import Server

POINTS = {"tasks.before_commit": 200, "tasks.after_commit": 200}
"""Points in the embedded table, and up to which passage the server may come before it dies there."""


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL `seconds` after the load is under way, of the server (`itself`, its children then follow), of all at once
    (`family`), of a child of it (`child`); or at a named point."""

    whom: str = "itself"
    seconds: float = 0.0
    point: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {"HEADRACE_FAILPOINT": self.point} if self.point else {}

    async def strike(self, server: Server, traffic: TaskTraffic) -> None:
        if self.point:
            await ends_within(server, LONGEST)
            await asyncio.to_thread(server.kill)
            return
        await under_way(traffic, 20, seconds=5)
        await asyncio.sleep(self.seconds)
        if self.whom == "child":
            await asyncio.to_thread(kill_child, server)
        else:
            await asyncio.to_thread(server.kill_family if self.whom == "family" else server.kill)

    def __str__(self) -> str:
        return f"SIGKILL at {self.point}" if self.point else f"SIGKILL of {self.whom} after {self.seconds:.3f} s"


def choose(chance: random.Random) -> Kill:
    """A third of the times a child, a third at a named point."""
    dice = chance.random()
    if dice < 0.35:
        return Kill("child", chance.uniform(0, 0.3))
    if dice < 0.65:
        point = chance.choice(sorted(POINTS))
        return Kill(point=f"{point}:{chance.randint(20, POINTS[point])}")
    return Kill("family" if dice < 0.85 else "itself", chance.uniform(0, 0.6))


def kill_child(server: Server) -> None:
    """One of the processes in which handlers run."""
    children = server.family()[1:]
    if children:
        with suppress(psutil.NoSuchProcess):
            random.choice(children).kill()
