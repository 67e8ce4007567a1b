"""One worker process from its first line to its last."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from headrace import __version__, wiring
from headrace.adapters.structlog import logs
from headrace.cli.http_server import Server
from headrace.cli.listening import listen
from headrace.cli.process import Signals, first_of, frugal, leave_now, new_loop, settle
from headrace.config import Settings
from headrace.wiring.roles import refuse_files

_log = structlog.get_logger("headrace.cli.working")


def work_until_stopped(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises Unusable (also its kinds) with a text for people."""
    logs.configure(settings.log_format, settings.log_level)
    refuse_files(settings, "`headrace work`")
    frugal()
    health = listen(settings.host, settings.health_port) if settings.health_port else None
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_work(settings, health))
    leave_now()


async def _work(settings: Settings, health: socket.socket | None) -> None:
    async with wiring.running(settings, "work") as headrace:
        signals = Signals()
        settle()
        async with _answering(headrace, health, signals):
            _log.info("working", role="work", version=__version__, concurrency=settings.concurrency)
            await first_of(signals.stop)
            _log.info("stopping", reason="signal")
            headrace.services.health.drain()


@asynccontextmanager
async def _answering(headrace: wiring.Running, health: socket.socket | None, signals: Signals) -> AsyncIterator[None]:
    """The doors of health and metrics, where they are wanted: the same code as in `serve`."""
    if health is None:
        yield
        return
    server = Server(headrace.app, health)
    serving = asyncio.create_task(server.run_here())
    await server.listens(serving)
    try:
        yield
    finally:
        await server.leave(0, signals.hurry)
        server.end()
        await serving
