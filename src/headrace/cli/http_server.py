"""uvicorn as this program uses it: signals are left to us, and at its end it parts from a proxy without a lost request.

A server that closes an idle connection races with the proxy that is just sending on it. So `leave` tells each one with
its next answer (`Connection: close`), and keeps those on which nothing comes until the proxy has closed them itself.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from headrace.cli.bounded_head import BoundedHead
from headrace.cli.listening import ARRIVING_SECONDS, BACKLOG, let_nobody_in, take_all

_KEEP_ALIVE_SECONDS = 75  # longer than nginx's 60, so that the proxy is the one that closes
FINISH_SECONDS = 5.0  # for all that is open at shutdown; with 3 s for the loops the whole stays under 10 s
_LOOK_SECONDS = 0.02


class Server(uvicorn.Server):
    """Serves `app` on a socket that is bound already. `shared`: other processes listen on the same socket."""

    def __init__(self, app: object, listening: socket.socket, *, shared: bool = False) -> None:
        super().__init__(_config(app))
        self._listening = listening
        self._shared = shared

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ours: uvicorn waits for open streams before it says that it stops."""
        yield

    async def run_here(self) -> None:
        """Serve in this event loop until `end`."""
        await self.serve(sockets=[self._listening])

    async def listens(self, serving: asyncio.Task[None]) -> None:
        """Until it does, or `serving` has failed."""
        while not self.started and not serving.done():  # noqa: ASYNC110 - uvicorn has a flag, and no event
            await asyncio.sleep(0)

    async def leave(self, seconds: float, hurry: asyncio.Event) -> None:
        """Let nobody in, give everybody here one more answer, until all are gone or `seconds` passed or `hurry`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        await self._close_door()
        for connection in list(self.server_state.connections):
            assert isinstance(connection, BoundedHead)
            connection.leave()
        until = began + seconds
        while self._has_some() and loop.time() < until and not hurry.is_set():  # noqa: ASYNC110 - it is no event
            await asyncio.sleep(_LOOK_SECONDS)
        left = FINISH_SECONDS - (loop.time() - began)
        self.config.timeout_graceful_shutdown = max(1, math.ceil(left))

    async def _close_door(self) -> None:
        if not self._shared:  # else the others would let nobody in either
            let_nobody_in(self._listening)
            await asyncio.sleep(ARRIVING_SECONDS)
        taken = take_all(self._listening)
        for server in self.servers:
            server.close()
        for connection in taken:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)

    def _has_some(self) -> bool:
        return bool(self.server_state.connections)

    def _protocol(self) -> BoundedHead:
        return BoundedHead(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def end(self) -> None:
        """Close what is idle, finish what is open."""
        self.should_exit = True


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # an ASGI callable; uvicorn's own type is narrower
        http=BoundedHead,
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(FINISH_SECONDS),
    )
