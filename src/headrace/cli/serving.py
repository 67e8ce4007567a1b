"""One server process from its first line to its last: open, listen, stop in good order, and start again if asked to.

`wiring/` puts the parts together; this is the only place that knows uvicorn and signals.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
import uvicorn

from headrace import __version__, wiring
from headrace.adapters.structlog import logs
from headrace.cli.bounded_head import BoundedHead
from headrace.config import Settings
from headrace.errors import Unusable
from headrace.wiring.identity import local_url

_log = structlog.get_logger("headrace.cli.serving")

_BACKLOG = 2_048
_KEEP_ALIVE_SECONDS = 75  # longer than nginx's 60, so that the proxy is the one that closes
_FINISH_SECONDS = 5  # for open requests at shutdown; with 2 s for each loop the whole stays under 10 s
_SWITCH_SECONDS = 0.0005  # the drain decodes in a thread: at Python's 5 ms the loop would wait as long for its turn
# glibc's malloc.h: an arena for each of 18 threads takes 15 MB of an idle server; and the 19 MiB of a password's hash
# (as every large block) must go back to the system at once, not stay for the next one.
_MALLOPT = {"M_ARENA_MAX": (-8, 1), "M_MMAP_THRESHOLD": (-3, 8 << 20), "M_TRIM_THRESHOLD": (-1, 2 << 20)}
_GC_THRESHOLD = (50_000, 20, 50)  # events are made of objects that hold no cycles


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to us: it waits for open streams before it says that it stops."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve_until_stopped(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Raises Unusable (also its kinds) with a text for people."""
    logs.configure(settings.log_format, settings.log_level)
    _frugal()
    listening = _listen(settings)
    settings = settings.model_copy(update={"port": listening.getsockname()[1]})  # it may have been 0: pick one
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        restart = runner.run(_serve(settings, listening))
    if restart:
        _log.info("starting again with the restored data")
        _start_again(listening)
    # Everything is closed. Leaving now spares the reader of the log 70 lines in which DuckDB's bindings report their
    # own leaks at the interpreter's end.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _frugal() -> None:
    """Settings of the process itself: how threads share the interpreter, and how they share memory."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    with suppress(OSError, AttributeError):  # not every C library has it
        library = ctypes.CDLL(None)
        for parameter, value in _MALLOPT.values():
            library.mallopt(parameter, value)


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((settings.host, settings.port))
    except OSError as exc:
        sock.close()
        raise Unusable(
            f"cannot listen on {settings.host}:{settings.port}: {exc.strerror}. "
            "Is another server running there? Choose another port with --port or HEADRACE_PORT."
        ) from exc
    return sock


async def _serve(settings: Settings, listening: socket.socket) -> bool:
    """Serve until told to stop; whether to start again."""
    async with wiring.running(settings) as headrace:
        server = _Server(_uvicorn_config(headrace.app))
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        url = local_url(settings.host, settings.port)
        with _told(settings.data_dir, url):
            gc.set_threshold(*_GC_THRESHOLD)
            gc.freeze()
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            _greet(url, headrace.key_file)
            await _first_of(stop, headrace.restart, serving)
            _log.info("stopping", reason="restore" if headrace.restart.is_set() else "signal")
            headrace.services.health.drain()
            headrace.services.history.stop()
            await headrace.services.tail.stop()
            server.should_exit = True
            await serving
    return headrace.restart.is_set() and not stop.is_set()


async def _first_of(stop: asyncio.Event, restart: asyncio.Event, serving: asyncio.Task[None]) -> None:
    waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(restart.wait())]
    await asyncio.wait([*waiting, serving], return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def _uvicorn_config(app: object) -> uvicorn.Config:
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
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_FINISH_SECONDS,
    )


@contextmanager
def _told(data_dir: Path, url: str) -> Iterator[None]:
    """`server.json`, by which the command line finds the server, for as long as it runs."""
    path = data_dir / "server.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"url": url, "pid": os.getpid(), "version": __version__}) + "\n")
    part.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _greet(url: str, key_file: Path) -> None:
    """What a newcomer needs next, once, on standard output."""
    print(
        f"\n  Headrace {__version__} answers on {url}: open it in a browser   (API: {url}/docs)\n"
        f"  The administrator's key is in {key_file}\n\n"
        "  Send an event:\n"
        f'    curl -H "Authorization: Bearer $(cat {key_file})" -H "Content-Type: application/json" \\\n'
        f"         -d '{{\"message\": \"hello\"}}' {url}/v1/buckets/default/events\n"
        "  and read it back:\n"
        f'    curl -H "Authorization: Bearer $(cat {key_file})" {url}/v1/buckets/default/events\n',
        flush=True,
    )


def _start_again(listening: socket.socket) -> None:
    listening.close()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the very command that we are
