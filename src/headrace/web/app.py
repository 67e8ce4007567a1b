"""The web application: the fast lane in front, then what every request passes, then FastAPI."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from fastapi import FastAPI
from starlette.types import ASGIApp

from headrace.model.task import MAX_RESULT_BYTES
from headrace.services import Services
from headrace.web import errors
from headrace.web.answers import encode
from headrace.web.api import backup, root, tasks
from headrace.web.client_address import Network
from headrace.web.console import failures, page, render
from headrace.web.door import Route
from headrace.web.doors import ALL, CONSOLE, not_here, routes_of, writes_of
from headrace.web.fast_lane import FastLane
from headrace.web.middleware.access_log import AccessLog
from headrace.web.middleware.body_limit import BodyLimit
from headrace.web.middleware.cors import Cors
from headrace.web.middleware.measure import Measure
from headrace.web.middleware.request_id import RequestId
from headrace.web.middleware.security_headers import SecurityHeaders
from headrace.web.openapi import document

_AROUND_A_RESULT = 256 * 1024  # the lease, and lines of a log


@dataclass(frozen=True, slots=True)
class WebOptions:
    """What wiring decides for the web."""

    version: str
    doors: frozenset[str] = ALL
    """Those that are open here, of web/doors.py."""
    base_url: str = ""
    """Where people reach this server; cookies are for TLS alone when it begins with https."""
    trusted_proxies: tuple[Network, ...] = ()
    """Those whose word about where a request comes from counts."""
    cors_origins: frozenset[bytes] = frozenset()
    """Whose pages may read events with a token."""
    embed_origins: tuple[str, ...] = ()
    """Whose pages may show the embeddable viewer in a frame."""
    metrics_open: bool = True
    """Whether /metrics is answered without a key."""
    access_log: bool = False
    """Whether each request gets a line in the log; errors always do."""
    body_limit: int = 1024 * 1024
    """Bytes of a body at every door but the write door and the restore."""
    bodies_max_bytes: int = 256 * 1024 * 1024
    """Bytes of bodies that all requests at the write door may hold together."""


def create_app(services: Services, options: WebOptions) -> ASGIApp:
    """All doors that are open here as one ASGI callable."""
    app: ASGIApp = json_app(services, options)
    app = BodyLimit(
        app,
        options.body_limit,
        unlimited=frozenset({backup.RESTORE_PATH}),
        roomy=tasks.COMPLETE_END,
        room=MAX_RESULT_BYTES + _AROUND_A_RESULT,
    )
    if options.cors_origins:
        app = Cors(app, options.cors_origins)
    app = SecurityHeaders(app)
    app = Measure(app, services)
    app = AccessLog(app, everything=options.access_log)
    app = RequestId(app)
    doors = [door(services) for door in writes_of(options.doors)]
    if not doors:
        return app
    return FastLane(
        app, services, doors, max_body_bytes=options.bodies_max_bytes, trusted_proxies=options.trusted_proxies
    )


def json_app(services: Services, options: WebOptions) -> FastAPI:
    """The FastAPI part: every door but the write door."""
    app = _bare(options, options.doors)
    app.state.services, app.state.options = services, options
    app.mount(render.STATIC_URL, root.Static(directory=render.STATIC))
    app.mount("/static", root.Static(directory=root.STATIC))
    app.state.show_error = failures.show
    app.state.show_lost = page.show_lost if CONSOLE in options.doors else None
    app.state.not_here = None if options.doors == ALL else not_here(options.doors)
    app.state.methods_of = lambda path: methods_of(app, path, options.doors)
    app.state.openapi_json = cache(lambda: encode(document(_bare(options, ALL))))  # clients see one service
    errors.install(app)
    return app


def _bare(options: WebOptions, doors: frozenset[str]) -> FastAPI:
    app = FastAPI(
        version=options.version,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # ours are counted in front (10 µs a request)
    )
    # Not include_router: it looks each request up a second time, in the included router (8 µs).
    app.router.routes.extend(routes_of(doors))
    return app


def methods_of(app: FastAPI, path: str, doors: frozenset[str]) -> list[str]:
    """Every method that `path` takes, through whichever door: for the header `Allow`."""
    methods = {"OPTIONS"}
    for route in app.routes:
        if isinstance(route, Route) and route.path_regex.match(path):
            methods |= route.all_methods
    if any(_written(door.route).match(path) for door in writes_of(doors)):
        methods.add("POST")
    if path.startswith("/static/"):
        methods |= {"GET", "HEAD"}
    return sorted(methods)


@cache
def _written(route: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{\w+\}", "[^/]+", route) + r"\Z")
