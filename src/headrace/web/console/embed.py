"""The viewer that other people's applications show in an iframe. A viewer token opens it, never a session: it takes no
cookie, so that browsers which block those of third parties do not matter, and nothing in it can be done but read."""

from __future__ import annotations

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from headrace.errors import Unusable
from headrace.kit.ids import format_id
from headrace.model.bucket import AUDIT_BUCKET
from headrace.model.event import StoredEvent
from headrace.query.render import time_text
from headrace.query.sentences import Part, sentence_of
from headrace.web.answers import JsonBytes, encode
from headrace.web.deps import readable, services_of
from headrace.web.door import documented, router
from headrace.web.middleware.cors import parse_origins
from headrace.web.param import ask
from headrace.web.params import BUCKET_PATH, CURSOR, FILTERS, LIMIT
from headrace.web.reading import filter_of

routes = router("Pages")

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)
_PAGE = """<!DOCTYPE html>
<html lang="en" data-theme="auto" data-density="comfortable">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Activity</title>
<link rel="stylesheet" href="/static/embed/embed.css">
<script type="module" src="/static/embed/theme.js"></script>
<script type="module" src="/static/embed/embed.js"></script>
</head>
<body data-origins="{origins}">
<main>
<h1>Activity</h1>
<form id="asked" role="search">
<input id="q" name="q" type="search" placeholder="Search" aria-label="Search" maxlength="200" autocomplete="off">
<select id="since" name="since" aria-label="Time">
<option value="">Any time</option>
<option value="1h">Last hour</option>
<option value="24h">Last 24 hours</option>
<option value="7d">Last 7 days</option>
<option value="30d">Last 30 days</option>
<option value="90d">Last 90 days</option>
</select>
</form>
<div id="only" hidden>Only <ul id="within"></ul></div>
<p id="told" role="status">Loading…</p>
<button id="again" type="button" hidden>Try again</button>
<button id="newer" type="button" hidden></button>
<ol id="trail"></ol>
<p id="empty" hidden>Nothing has happened here yet, or nothing that fits your search.</p>
<button id="older" type="button" hidden>Older</button>
<noscript><p>This page needs JavaScript.</p></noscript>
</main>
</body>
</html>
"""


def parse_framing(text: str) -> tuple[str, ...]:
    """The origins of HEADRACE_EMBED_ORIGINS. Raises Unusable, also for an IPv6 address: policies cannot name those."""
    origins = sorted(origin.decode() for origin in parse_origins(text, "HEADRACE_EMBED_ORIGINS"))
    if wrong := [origin for origin in origins if "[" in origin]:
        raise Unusable(f"a setting is wrong: HEADRACE_EMBED_ORIGINS: {wrong[0]} has no name: browsers need one here.")
    return tuple(origins)


@routes.get("/embed", include_in_schema=False, openapi_extra=documented(is_open=True, strict=False))
async def embed(request: Request) -> Response:
    """The same for everybody; what to show and how it looks is read in the browser."""
    origins = " ".join(request.app.state.options.embed_origins)
    headers = {
        "content-security-policy": _POLICY.format(ancestors=origins or "'none'"),
        "cache-control": "no-cache",
    }
    return HTMLResponse(_PAGE.format(origins=origins), headers=headers)


@routes.get(
    "/embed/{bucket}/events",
    include_in_schema=False,
    openapi_extra=documented(LIMIT, CURSOR, *FILTERS, path=[BUCKET_PATH], for_viewers=True),
)
async def trail(request: Request) -> Response:
    """As the page of events in the API, newest first, with sentences in the place of fields."""
    services, view = services_of(request), await readable(request)
    found = await services.reader.list(
        view, filter_of(request, services), limit=ask(request, LIMIT), cursor=ask(request, CURSOR)
    )
    ours = view.bucket.name == AUDIT_BUCKET
    answer: dict[str, object] = {"events": [told(event, ours=ours) for event in found.events]}
    if found.next_cursor:
        answer["next_cursor"] = found.next_cursor
    return JsonBytes(encode(answer))


def told(event: StoredEvent, *, ours: bool) -> dict[str, object]:
    """What the page shows of an event."""
    sentence = sentence_of(event, ours=ours)
    optional = {"note": sentence.note, "address": sentence.address, "outcome": event.outcome}
    return {
        "id": format_id(event.id),
        "time": time_text(event.time),
        "parts": [_part(part) for part in sentence.parts],
        **{name: value for name, value in optional.items() if value},
    }


def _part(part: Part) -> dict[str, str]:
    return {"text": part.text, "role": part.role} | ({"aside": part.aside} if part.aside else {})
