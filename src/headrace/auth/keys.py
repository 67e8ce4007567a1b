"""The API key `hr_<public id>_<secret>`: made here, taken apart here, and known by the SHA-256 of its secret only.

The secret is 160 random bits, so a fast hash is enough: there is nothing to guess (DESIGN §8). Lower-case base32 has
no `_`, no look-alikes of 0 and 1, and survives being read out, double-clicked or put into a URL.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from base64 import b32encode
from typing import NamedTuple

_KEY = re.compile(r"hr_([a-z2-7]{12,32})_([a-z2-7]{26,64})", re.ASCII)  # 26 characters are 130 bits


class KeyParts(NamedTuple):
    """`id` may be shown to anyone; `secret` only ever to its owner, once."""

    id: str
    secret: str


def new_key() -> str:
    """A key that nobody has seen: an id of 80 random bits and a secret of 160."""
    return f"hr_{_random(10)}_{_random(20)}"


def parse_key(text: str) -> KeyParts | None:
    """The parts of a key, or None when it does not have the form of one."""
    match = _KEY.fullmatch(text)
    return KeyParts(match[1], match[2]) if match else None


def digest(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode("ascii")).digest()


def matches(secret: str, stored: bytes) -> bool:
    """Whether `stored` is the digest of `secret`, in a time that tells nothing of how much of it is right."""
    return hmac.compare_digest(digest(secret), stored)


def _random(size: int) -> str:
    return b32encode(os.urandom(size)).decode("ascii").rstrip("=").lower()
