"""From a template to a page. Everything is escaped; what is not there raises, so that a test sees it."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache
from math import floor, inf
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
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


_UTC = "%Y-%m-%d %H:%M:%S UTC"
_AGES = ((3_570, 60, "min"), (86_100, 3_600, "h"), (60 * 86_400, 86_400, "d"), (inf, 30 * 86_400, "months"))
_STYLES = {"full": "%Y-%m-%d %H:%M:%S", "date": "%Y-%m-%d", "time": "%H:%M:%S.%f"}


def moment(time: int | None, style: str = "full") -> Markup | str:
    """A time (µs) that console.js shows in the viewer's zone, with UTC on hover: `full`, `date` or `time`. As wide
    before as after, so that nothing moves: what says UTC is only there without scripts."""
    if time is None:
        return "–"
    then = datetime.fromtimestamp(time // SECOND, UTC).replace(microsecond=time % SECOND)
    shown = then.strftime(_STYLES[style])[: -3 if style == "time" else None]  # milliseconds
    return Markup('<time datetime="{}" title="{}" data-moment="{}">{}<span class="utc"> UTC</span></time>').format(
        format_time(time), then.strftime(_UTC), style, shown
    )


@pass_context
def ago(context: Context, time: int | None) -> Markup | str:
    """The time since `time` (µs), with UTC on hover. console.js keeps it up to date, in the same words."""
    if time is None:
        return "never"
    shown = datetime.fromtimestamp(time // SECOND, UTC).strftime(_UTC)
    since = since_then((context["now"] - time) / SECOND)
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(format_time(time), shown, since)


def since_then(seconds: float) -> str:
    """How long ago something was, in words; negative is to come. As `ago` in console.js."""
    length = abs(seconds)
    if length < 45:
        return "in a moment" if seconds < -5 else "just now"
    one, unit = next(((one, unit) for limit, one, unit in _AGES if length < limit))
    text = f"{floor(length / one + 0.5)} {unit}"  # as Math.round: a half goes up
    return f"in {text}" if seconds < 0 else f"{text} ago"


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
