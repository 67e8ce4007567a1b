"""How a page of the administration or of tasks answers: shown, or gone on from, saying on the next page what was
done."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from headrace.web.console.pages.admin_forms import UNITS, access_of, size_and_unit
from headrace.web.console.render import is_part, render

if TYPE_CHECKING:
    from headrace.web.app import WebOptions

_TOLD = "headrace_told"
_DONE = {
    "bucket-made": "The bucket is there. Send it its first events with the lines below.",
    "bucket-changed": "Saved.",
    "bucket-deleted": "The bucket is gone. Its events are being deleted.",
    "grant-changed": "Saved: it counts within 5 seconds.",
    "user-changed": "Saved.",
    "user-disabled": "The user is disabled and signed out everywhere.",
    "user-enabled": "The user may sign in again.",
    "user-deleted": "The user is gone, with every session, grant and key.",
    "key-revoked": "The key is revoked: it is dead within 5 seconds.",
    "letters-replayed": "Put back into the queue: {count}.",
    "signing-key-rotated": "New access tokens are signed with a new key.",
    "task-submitted": "The task is safe on the disk.",
    "task-retried": "The task is in its queue again, with all of its attempts.",
    "task-cancelled": "Cancelled. If the task is running, it is asked to stop.",
    "task-deleted": "The task is gone.",
    "tasks-cancelled": "Cancelled, or asked to stop: {count}.",
    "tasks-retried": "In their queues again: {count}.",
    "queue-paused": "Paused: what runs goes on, and nothing else of this queue is begun.",
    "queue-resumed": "The queue goes on.",
    "queue-limited": "Saved.",
    "schedule-made": "The schedule is there.",
    "schedule-changed": "Saved.",
    "schedule-enabled": "The schedule is on again.",
    "schedule-disabled": "The schedule is off. Tasks that it made stay.",
    "schedule-deleted": "The schedule is gone. Tasks that it made stay.",
}
"""Only a word of these travels in the cookie, never a text: whoever can plant a cookie plants no message."""


def show(request: Request, name: str, status: int = 200, **values: object) -> Response:
    """The page, with what was done just before."""
    told = request.cookies.get(_TOLD)
    common = {"told": _said(told), "units": tuple(UNITS), "size_and_unit": size_and_unit, "access_of": access_of}
    response = render(request, name, status, **common, **values)
    response.headers["cache-control"] = "no-store"
    if told is not None:
        response.delete_cookie(_TOLD, path=_section(request.url.path))
    return response


def done(request: Request, url: str, what: str, count: int | None = None) -> Response:
    """Go on to `url`, which says what was done."""
    if is_part(request):
        response = Response(status_code=204, headers={"HX-Redirect": url})
    else:
        response = RedirectResponse(url, 303)
    word = what if count is None else f"{what}:{count}"
    response.set_cookie(_TOLD, word, max_age=30, path=_section(url), httponly=True, samesite="lax")
    return response


def base_url(request: Request) -> str:
    """Where programs reach this server."""
    options: WebOptions = request.app.state.options
    return options.base_url


def _section(path: str) -> str:
    """`/admin` or `/tasks`: no other page takes the word away before it is shown."""
    return f"/{urlsplit(path).path.split('/')[1]}"


def _said(told: str | None) -> str:
    if told is None:
        return ""
    what, _, count = told.partition(":")
    return _DONE.get(what, "").format(count=count if count.isascii() and count.isdigit() else "")
