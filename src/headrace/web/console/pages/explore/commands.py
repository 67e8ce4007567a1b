"""The same question as a command for a terminal: curl, with the key in a variable, never in the text."""

from __future__ import annotations

import shlex
from urllib.parse import quote

from fastapi import Request

from headrace.web.api.root import address_here
from headrace.web.console.pages.explore.state import State

_KEY = '-H "Authorization: Bearer $HEADRACE_KEY"'
_EXAMPLE = '{"action": "invoice.paid", "actor": "user-1842", "message": "Invoice 99311 paid"}'


def curl_search(request: Request, state: State) -> str:
    """The events that the page shows."""
    query = state.filters(**({"order": "asc"} if state.order == "asc" else {}))
    return _get(request, f"{_events(state.bucket)}{'?' if query else ''}{query}")


def curl_event(request: Request, bucket: str, event_id: str) -> str:
    return _get(request, f"{_events(bucket)}/{event_id}")


def curl_send(request: Request, bucket: str) -> str:
    """A first event."""
    url = shlex.quote(address_here(request) + _events(bucket))
    return f'curl {url} \\\n  {_KEY} \\\n  -H "Content-Type: application/json" \\\n  -d {shlex.quote(_EXAMPLE)}'


def _get(request: Request, path: str) -> str:
    return f"curl {shlex.quote(address_here(request) + path)} {_KEY}"


def _events(bucket: str) -> str:
    return f"/v1/buckets/{quote(bucket, safe='')}/events"
