"""The composition root: Settings → adapters → features → Services, and the loops beside them. Nothing is chosen
anywhere else. `adapters.py` opens, `identity.py` and `features.py` put together, here it is started and ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace import __version__
from headrace.adapters.system.directory_lock import DirectoryLock
from headrace.adapters.system.key_file import SystemKeyFile
from headrace.auth.bootstrap import ensure_admin_key
from headrace.config import Settings
from headrace.operations.restore import swap_in
from headrace.services import Services
from headrace.web.app import WebOptions, create_app
from headrace.web.client_address import parse_trusted
from headrace.web.console.embed import parse_framing
from headrace.web.doors import parse_doors
from headrace.web.fast_lane import App
from headrace.web.middleware.cors import parse_origins
from headrace.wiring.adapters import Adapters, open_adapters
from headrace.wiring.features import Features, build
from headrace.wiring.house import ensure_schedules
from headrace.wiring.identity import base_url, sealer_of
from headrace.wiring.roles import Place, Role, refuse_files
from headrace.wiring.steps import Step
from headrace.wiring.tasks import run_crews
from headrace.wiring.urls import Urls
from headrace.workers.loop import Pace, run

_LOOPS_SECONDS = 3.0  # for the steps that have begun, at the end; what is cancelled then is put back


@dataclass(frozen=True, slots=True)
class Running:
    """A started Headrace: its web application (of `work`: health and metrics), and what ends it in good order."""

    app: App
    services: Services
    key_file: Path
    restart: asyncio.Event
    """Set when the server is to stop and start again, with restored data."""


@asynccontextmanager
async def running(settings: Settings, role: Role = "serve", among: Place | None = None) -> AsyncIterator[Running]:
    """Open everything, start the loops; at the end stop them and close everything, nothing acknowledged lost.

    `among`: the place of this process among several that act as one server. Raises DirectoryLocked, NewerFormat or
    Unusable with a text for people.
    """
    if role == "work":
        refuse_files(settings, "`headrace work`")
        settings = settings.model_copy(update={"drain": "on", "spool": False})  # what takes nothing in spools nothing
    options, data = _web_options(settings, role), settings.data_dir
    os.umask(0o077)  # DuckDB and SQLite go by it, and a directory that was there before may be open to all
    async with AsyncExitStack() as stack:
        if Urls.of(settings).needs_directory:
            stack.enter_context(DirectoryLock(data))
            await asyncio.to_thread(swap_in, data)
        data.mkdir(parents=True, exist_ok=True)
        adapters = await open_adapters(settings, stack, among)
        async with _started(settings, adapters, options, role) as started:
            yield started


async def migrate(settings: Settings) -> None:
    """Bring all data up to date; on a server while others use it. Raises DirectoryLocked where files have an owner."""
    os.umask(0o077)
    async with AsyncExitStack() as stack:
        if Urls.of(settings).needs_directory:
            stack.enter_context(DirectoryLock(settings.data_dir))
        await open_adapters(settings.model_copy(update={"migrate": "on"}), stack)


@asynccontextmanager
async def _started(
    settings: Settings, ports: Adapters, options: WebOptions, role: Role
) -> AsyncIterator[Running]:
    restart, stopping = asyncio.Event(), asyncio.Event()
    features = build(settings, ports, await sealer_of(settings, ports.control), restart, role)
    services, key_file = features.services, settings.data_dir / "admin.key"
    await services.buckets.ensure_system_buckets()
    await ensure_schedules(ports.schedules, ports.clock)
    if role == "serve":
        await ensure_admin_key(ports.keys, SystemKeyFile(key_file), ports.clock)
        await features.identity.tokens.ensure_key()
    crews = await run_crews(features.tasks, settings, ports) if settings.tasks == "on" else []
    async with asyncio.TaskGroup() as loops:
        listening = loops.create_task(features.waiter.run(), name="stored-waiter")
        working = [
            loops.create_task(run(name, step, stopping, pace), name=name)
            for name, step, pace, roles in [*features.steps, *crews, *_telling(ports)]
            if role in roles
        ]
        try:
            yield Running(create_app(services, options), services, key_file, restart)
        finally:
            await _finish(features)
            stopping.set()
            listening.cancel()
            await _end(working)


def _telling(ports: Adapters) -> list[Step]:
    return [] if ports.tell_siblings is None else [Step("metrics", ports.tell_siblings, Pace(idle=1.0))]


async def _end(working: Sequence[asyncio.Task[None]]) -> None:
    """Steps that have begun may finish, but not for ever: what they hold is released when they are cancelled."""
    _, late = await asyncio.wait(working, timeout=_LOOPS_SECONDS)
    for task in late:
        task.cancel()


async def _finish(features: Features) -> None:
    """What is still in memory goes where it belongs: events to the queue, counts and mails out."""
    await features.tasks.close()
    await features.batcher.close()
    await features.meter.close()
    await features.identity.close()


def _web_options(settings: Settings, role: Role) -> WebOptions:
    return WebOptions(
        doors=parse_doors(settings.doors) if role == "serve" else frozenset(),
        version=__version__,
        base_url=base_url(settings),
        metrics_open=settings.metrics_open,
        access_log=settings.access_log,
        bodies_max_bytes=settings.bodies_max_bytes,
        cors_origins=parse_origins(settings.cors_origins),
        embed_origins=parse_framing(settings.embed_origins),
        trusted_proxies=parse_trusted(settings.trusted_proxies),
    )
