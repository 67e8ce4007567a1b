"""One server process from its first line to its last: open, listen, stop in good order, and start again if asked to.

`wiring/` puts the parts together; `http_server.py` knows uvicorn, `process.py` signals, `supervisor.py` several of us.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from headrace import wiring
from headrace.adapters.structlog import logs
from headrace.cli.greeting import announced, greet
from headrace.cli.http_server import Server
from headrace.cli.listening import listen
from headrace.cli.process import Signals, first_of, frugal, leave_now, new_loop, settle
from headrace.cli.supervisor import Child, supervise
from headrace.config import Settings
from headrace.wiring.identity import local_url
from headrace.wiring.roles import refuse_files

_log = structlog.get_logger("headrace.cli.serving")


def serve_until_stopped(settings: Settings, child: Child | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises Unusable (also its kinds) with a text for people."""
    logs.configure(settings.log_format, settings.log_level)
    listening = child.socket() if child else listen(settings.host, settings.port)
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})  # it may have been 0: pick one
    if settings.processes > 1 and child is None:
        refuse_files(settings, f"{settings.processes} processes")
        sys.exit(supervise(settings, listening))
    frugal()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        restart = runner.run(_serve(settings, listening, child))
    if restart:
        _log.info("starting again with the restored data")
        _start_again(listening)
    leave_now()


async def _serve(settings: Settings, listening: socket.socket, child: Child | None) -> bool:
    """Serve until told to stop; whether to start again."""
    async with wiring.running(settings, among=child.place if child else None) as headrace:
        server, signals = Server(headrace.app, listening, shared=child is not None), Signals()
        settle()
        serving = asyncio.create_task(server.run_here())
        await server.listens(serving)
        with _as_child(child, signals) if child else _alone(settings, headrace):
            await first_of(signals.stop, headrace.restart, or_end_of=serving)
            _log.info("stopping", reason="signal" if signals.stop.is_set() else "restore")
            headrace.services.health.drain()
            headrace.services.history.stop()
            headrace.services.tasks.stop()
            await headrace.services.tail.stop()
            await server.leave(settings.linger if signals.stop.is_set() else 0, signals.hurry)
            server.end()
            await serving
    return headrace.restart.is_set() and not signals.stop.is_set()


@contextmanager
def _alone(settings: Settings, headrace: wiring.Running) -> Iterator[None]:
    url = local_url(settings.host, settings.port)
    with announced(settings.data_dir, url):
        greet(url, headrace.key_file)
        yield


@contextmanager
def _as_child(child: Child, signals: Signals) -> Iterator[None]:
    """The parent announces and greets. It alone hears SIGHUP; without it we end."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    asyncio.get_running_loop().add_reader(child.lifeline, _orphaned, child.lifeline, signals)
    child.say_ready()
    yield


def _orphaned(lifeline: int, signals: Signals) -> None:
    asyncio.get_running_loop().remove_reader(lifeline)
    signals.stop.set()


def _start_again(listening: socket.socket) -> None:
    listening.close()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the very command that we are
