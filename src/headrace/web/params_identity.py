"""Query and path parameters of the doors of identity, as web/params.py has them for the events."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args

from headrace.web.param import Param, one_of, text
from headrace.web.params import UUID

T = TypeVar("T")
UsageBy: TypeAlias = Literal["bucket", "key", "user"]

USER_PATH: dict[str, Any] = {
    "name": "user", "in": "path", "required": True, "description": "The user's id.",
    "schema": {"type": "string", "pattern": UUID}, "example": "01980a1c-7e4b-7c3a-9d2e-5f6a7b8c9d0e",
}  # fmt: skip
ID_PATH = USER_PATH | {"name": "id"}
KEY_PATH: dict[str, Any] = {
    "name": "id", "in": "path", "required": True,
    "description": "The key's public id: what stands between the underscores.",
    "schema": {"type": "string", "pattern": "^[a-z2-7]{12,32}$"}, "example": "mfrggzdfmztwq2lk",
}  # fmt: skip

_CURSOR_MARK = b"a1:"  # another form of cursor gets another mark


def cursor_after(last_id: str) -> str:
    """The cursor of a page of a list by id that ended with this one. It grants nothing, so it is not signed."""
    return urlsafe_b64encode(_CURSOR_MARK + last_id.encode()).decode().rstrip("=")


def _after(given: str) -> str:
    try:
        raw = urlsafe_b64decode(given + "=" * (-len(given) % 4)) if len(given) <= 128 else b""
        after = raw.removeprefix(_CURSOR_MARK).decode("ascii")
    except ValueError:
        raw, after = b"", ""
    if cursor_after(after) != given or not after.isprintable() or not after:
        raise ValueError("is no cursor of ours: send `next_cursor` of the page before as it was")
    return after


AFTER: Param[str | None] = Param(
    "cursor", _after, None, {"type": "string"}, "`next_cursor` of the page before. Opaque."
)
QUERY: Param[str | None] = Param(
    "q", text(256), None, {"type": "string", "minLength": 1, "maxLength": 256},
    "Only those with this in the username, the e-mail address or a name, in any case.", "ada",
)  # fmt: skip
REVOKE: Param[str] = Param(
    "revoke", one_of("true", "false"), "false", {"enum": ["true", "false"], "default": "false"},
    "Whether the old keys verify no more: every token that is out is dead at once.",
)  # fmt: skip
USAGE_BY: Param[UsageBy] = Param(
    "by",
    cast("Callable[[str], UsageBy]", one_of(*get_args(UsageBy))),
    "bucket",
    {"enum": list(get_args(UsageBy)), "default": "bucket"},
    "What to add up by.",
)


def _told(name: str, about: str) -> Param[str | None]:
    return Param(name, str, None, {"type": "string"}, about)


OIDC_CODE = _told("code", "What the provider gives tokens for, once.")
OIDC_STATE = _told("state", "As we sent it there.")
OIDC_ISS = _told("iss", "Which provider answers (RFC 9207).")
OIDC_NEXT = _told(
    "next", "For the console: the path to go to with a cookie of a session. Without it the callback answers tokens."
)
OIDC_ERROR = _told("error", "Why the provider did not let the user in.")


def page_of(found: Sequence[T], limit: int, id_of: Callable[[T], str]) -> tuple[Sequence[T], str | None]:
    """A page and the cursor of the next one, from a list that was asked for one more than the page has room for."""
    page = found[:limit]
    return page, cursor_after(id_of(page[-1])) if len(found) > limit else None
