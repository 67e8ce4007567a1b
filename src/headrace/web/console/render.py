"""From a template to a page. Everything is escaped; what is not there raises, so that a test sees it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from headrace.kit.times import MINUTE, SECOND, format_time
from headrace.model.principal import Principal
from headrace.web.console.navigation import navigation
from headrace.web.console.session import csrf_of
from headrace.web.deps import PRINCIPAL_KEY, services_of

if TYPE_CHECKING:
    from headrace.web.app import WebOptions

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
STATIC_URL = "/static/console"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",  # with no-referrer browsers hide the origin of our own forms from us
    "vary": "HX-Request",
}


def render(request: Request, name: str, status: int = 200, **values: object) -> HTMLResponse:
    """The template `name` with `values`, and with what every page needs: `me` (None when nobody is signed in), `csrf`,
    `path`, `version`, `nav`, `now` (µs)."""
    options: WebOptions = request.app.state.options
    me: Principal | None = request.scope.get(PRINCIPAL_KEY)
    path = request.url.path
    common = {
        "me": me,
        "csrf": csrf_of(request) if me is not None else "",
        "path": path,
        "version": options.version,
        "nav": navigation(me, path) if me is not None else None,
        "now": services_of(request).clock.now(),
    }
    return HTMLResponse(templates().get_template(name).render(common | values), status, headers=HEADERS)


def is_part(request: Request) -> bool:
    """Whether htmx asks, for a part of a page."""
    return request.headers.get("hx-request") == "true"


@cache
def templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"moment": moment, "ago": ago, "count": count, "size": size, "age": age}
    made.globals["static"] = static
    return made


@cache
def static(name: str) -> str:
    """Where the browser finds a file of `static/`, under an address that changes with what is in it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"{STATIC_URL}/{name}?v={digest[:12]}"


# --- filters ------------------------------------------------------------------------------------------------------


def moment(time: int | None, style: str = "full") -> Markup | str:
    """A time (µs) that console.js shows in the viewer's zone, with UTC on hover: `full`, `time` or `date`."""
    if time is None:
        return "–"
    shown = datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}" data-moment="{}">{}</time>').format(
        format_time(time), shown, style, shown
    )


def ago(time: int | None) -> Markup | str:
    """A time (µs) that console.js shows as the time since then, with UTC on hover."""
    if time is None:
        return "never"
    shown = datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(format_time(time), shown, shown)


def count(number: float) -> str:
    """12,345."""
    return f"{number:,}" if isinstance(number, int) else f"{number:,.1f}"


def size(number: float) -> str:
    """Bytes, in the largest unit that leaves at least 1: 3.4 MiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(number) < 1024:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def age(seconds: float | None) -> str:
    """A length of time in seconds, in one unit: 0.4 s, 12 s, 3 min, 5 h, 2 d."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minute = MINUTE // SECOND
    for unit, length, limit in (("s", 1, 2 * minute), ("min", minute, 120 * minute), ("h", 3600, 48 * 3600)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
