"""What the faults of the PostgreSQL profile strike: a server with fsync on, a proxy before it, and processes of
Headrace that share only that. Whatever has ended is started again, as a supervisor would; nothing else helps it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.chaos.http import Connection
from tests.chaos.ledger import Ledger
from tests.chaos.traffic import Traffic
from tests.support.postgres import Cluster
from tests.support.server import Server
from tests.support.tcp_proxy import TcpProxy

RECOVERY_SECONDS = 30


class Site:
    """`async with Site(folder) as site:` has everything running. `cluster`: another's, which is only used. `standby`:
    one that may be promoted; then there is no proxy in between. With `workers` the servers store nothing themselves."""

    def __init__(
        self,
        folder: Path,
        *,
        servers: int = 2,
        workers: int = 0,
        module: str = "headrace",
        env: Mapping[str, str] | None = None,
        cluster: Cluster | None = None,
        standby: Cluster | None = None,
    ) -> None:
        self._own = cluster is None
        self.cluster = cluster or Cluster(safe=True)
        self._standby = standby
        self._env = {"HEADRACE_DRAIN": "off" if workers else "on", **(env or {})}
        self._places = [folder / f"data-{number + 1}" for number in range(servers)]
        self._work_places = [folder / f"work-{number + 1}" for number in range(workers)]
        self._module = module
        self.servers: list[Server] = []
        self.workers: list[Server] = []
        self.proxy: TcpProxy
        self.url = ""

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(self._open)
            await self.up()
        except BaseException:
            await asyncio.to_thread(self.close)
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self.close)

    def _open(self) -> None:
        if self._own:
            self.cluster.create().start()
        name = self.cluster.create_database().rsplit("/", 1)[1]
        self.proxy = TcpProxy(self.cluster.port).start()
        self.url = self.cluster.url(name, port=self.proxy.port)
        if self._standby is not None:
            ports = f"{self.cluster.port},127.0.0.1:{self._standby.port}"
            self.url = f"postgresql://postgres@127.0.0.1:{ports}/{name}?target_session_attrs=read-write"
        env = {"HEADRACE_DATABASE_URL": self.url, **self._env}
        self.servers = [Server(place, module=self._module, env=env) for place in self._places]
        self.workers = [Server(place, module=self._module, env=env, role="work") for place in self._work_places]

    def close(self) -> None:
        for process in self.processes:
            process.close()
        if hasattr(self, "proxy"):
            self.proxy.close()
        if self._own:
            self.cluster.close()

    @property
    def processes(self) -> list[Server]:
        return [*self.servers, *self.workers]

    @property
    def spools(self) -> bool:
        return "HEADRACE_SPOOL" in self._env

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    @property
    def key(self) -> str:
        return self.servers[0].key

    @property
    def logs(self) -> str:
        return "\n".join(server.log.read_text() for server in self.processes)

    def traffic(self, ledger: Ledger, seed: int, *, pause: float = 0.0, clients: int = 6) -> Traffic:
        """Clients that spread over the servers; they are running."""
        traffic = Traffic(self.ports, self.key, ledger, seed, pause=pause, clients=clients)
        traffic.start()
        return traffic

    async def recover(self, traffic: Traffic) -> float:
        """Start what has ended, and then as `well`. Raises AssertionError when something does not start in a minute."""
        await asyncio.to_thread(self.proxy.pass_through)
        if self.cluster.process is None or self.cluster.process.poll() is not None:
            await asyncio.to_thread(self.cluster.start)
        await self.up()
        return await self.well(traffic)

    async def well(self, traffic: Traffic) -> float:
        """Seconds until each server has stored an event. Raises AssertionError after twice as long as it may take."""
        began = time.monotonic()
        for port in self.ports:
            while not await traffic.probe(port):
                if time.monotonic() > began + 2 * RECOVERY_SECONDS:
                    raise AssertionError(f"nothing is stored through port {port} for a minute:\n{self.logs[-4000:]}")
                await asyncio.sleep(0.1)
        return time.monotonic() - began

    async def up(self) -> None:
        """Start what has ended, and wait until all of it lives."""
        deadline = time.monotonic() + 2 * RECOVERY_SECONDS
        waiting = self.processes
        while waiting:
            for process in waiting:
                if process.process is None or process.process.poll() is not None:
                    process.start(wait=False)
            waiting = [process for process in waiting if not await answers(process.port, "/health/live")]
            if waiting and time.monotonic() > deadline:
                raise AssertionError(f"a process does not come up:\n{waiting[0].log.read_text()[-4000:]}")
            await asyncio.sleep(0.05)


async def answers(port: int, target: str, *, status: int = 200) -> bool:
    """Whether one request gets this answer."""
    connection = Connection(port, "")
    try:
        return (await connection.ask("GET", target)).status == status
    except OSError:
        return False
    finally:
        connection.close()


class Watch:
    """Asks every server whether it lives, all the time: the slowest answer in `slowest`, none at all in `silent`.

    A server that does not run is not asked.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tasks: list[asyncio.Task[None]] = []
        self.slowest = 0.0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._ask(server)) for server in self._site.servers]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, server: Server) -> None:
        connection = Connection(server.port, "")
        while True:
            began = time.monotonic()
            with suppress(OSError):
                await connection.ask("GET", "/health/live")
                self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(0.1)
