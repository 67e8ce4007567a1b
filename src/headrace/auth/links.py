"""Secrets that are handed out once (temporary links, refresh tokens) and known by their SHA-256 only.

They are 256 random bits, so a fast hash is enough: there is nothing to guess.
"""

from __future__ import annotations

import re
import secrets

from headrace.auth.keys import digest
from headrace.kit.times import SECOND
from headrace.model.account import Link, LinkPurpose

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # 32 bytes in base64url


def new_secret() -> str:
    """43 characters that need no quoting in a URL."""
    return secrets.token_urlsafe(32)


def is_secret(text: str) -> bool:
    """Whether it has the form of one; all else is not worth a look-up."""
    return _SECRET.fullmatch(text) is not None


def new_link(user_id: str, purpose: LinkPurpose, now: int, seconds: int) -> tuple[str, Link]:
    """The token to hand out, and what is stored of it. `now` is µs since 1970."""
    token = new_secret()
    return token, Link(digest(token), user_id, purpose, now, now + seconds * SECOND)
