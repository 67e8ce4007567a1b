"""Passwords: hashed with Argon2id in a few threads of their own, and looked at once when they are chosen.

argon2-cffi lets go of the GIL while it hashes (two threads hash twice as much as one), so the event loop goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from headrace.errors import Invalid, ItemError, Overloaded

if TYPE_CHECKING:
    from pwdlib import PasswordHash

T = TypeVar("T")

# The second of the equally good settings in OWASP's Password Storage Cheat Sheet (DESIGN §8).
_MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1

_WAITING = 64  # about 1 s of hashing for two threads: nobody should wait longer to be told to come back
_LEAST_BYTES = 10
_MOST_BYTES = 1024

# No password has this hash (that it were one is as likely as to guess 256 bits), and checking one against it takes as
# long as against any other: the hash of a user who is not there.
_NOBODY = f"$argon2id$v=19$m={_MEMORY_KIB},t={_PASSES},p={_LANES}${'A' * 22}${'A' * 43}"


class Verdict(NamedTuple):
    """`rehash` is what to store from now on, where the stored hash was made with older parameters."""

    ok: bool
    rehash: str | None = None


class Passwords:
    """`at_once` are hashed at the same time, each in 19 MiB; 64 more may wait."""

    def __init__(self, at_once: int) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="passwords")
        self._most = at_once + _WAITING
        self._under_way = 0

    async def hash(self, password: str) -> str:
        """The text to store. Raises Overloaded, and Invalid for what cannot be a password."""
        secret = _secret(password)
        if secret is None:
            raise _invalid([_broken()] if _encoded(password) is None else [_too_long()])
        return await self._off_the_loop(lambda: self._hasher.hash(secret))

    async def verify(self, password: str, stored: str | None) -> Verdict:
        """Whether this is the password. Raises Overloaded.

        Without `stored`, and with what is no hash, it takes as long and is never ok.
        """
        return await self._off_the_loop(lambda: self._verify(_secret(password), stored))

    def close(self) -> None:
        """Those that wait are given up; those that run end within milliseconds."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, secret: bytes | None, stored: str | None) -> Verdict:
        from pwdlib.exceptions import UnknownHashError

        if secret is not None and stored:
            try:
                return Verdict(*self._hasher.verify_and_update(secret, stored))
            except UnknownHashError:
                pass
        self._hasher.verify(secret or b"", _NOBODY)
        return Verdict(ok=False)

    @cached_property
    def _hasher(self) -> PasswordHash:
        from pwdlib import PasswordHash
        from pwdlib.hashers.argon2 import Argon2Hasher

        return PasswordHash([Argon2Hasher(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES)])

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        if self._under_way >= self._most:
            raise Overloaded("Too many passwords are being checked: try again soon.")
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._under_way -= 1


def check_new_password(password: str, username: str, email: str | None) -> None:
    """Raises Invalid with items for the field `password`: too-short, too-long, common-password, like-username."""
    encoded = _encoded(password)
    if encoded is None:
        raise _invalid([_broken()])
    items = []
    if len(encoded) < _LEAST_BYTES:
        items.append(_item("too-short", f"must have at least {_LEAST_BYTES} bytes"))
    if len(encoded) > _MOST_BYTES:
        items.append(_too_long())
    if password.lower() in _common():
        items.append(_item("common-password", "is one of the most common ones: choose another"))
    if password.lower() in _names(username, email):
        items.append(_item("like-username", "must not be the user name or the e-mail address"))
    if items:
        raise _invalid(items)


@cache
def _common() -> frozenset[str]:
    """The 3,000 most common in lower case (0.3 MB).

    Only 183 of them have the 10 bytes that a password needs, but these are what a guesser tries first
    (`1q2w3e4r5t`, `password12`), and the whole list stays right when the least length changes.
    """
    text = files("headrace.auth").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(text.partition("\n\n")[2].splitlines())


def _names(username: str, email: str | None) -> set[str]:
    names = {username.lower()}
    if email:
        names |= {email.lower(), email.lower().rpartition("@")[0]}
    return names - {""}


def _encoded(password: str) -> bytes | None:
    """UTF-8 as it was typed, unnormalised; None for half a surrogate pair and NUL, which are no text."""
    try:
        return None if "\0" in password else password.encode()
    except UnicodeEncodeError:
        return None


def _secret(password: str) -> bytes | None:
    """None for what no user can have as a password."""
    encoded = _encoded(password)
    return encoded if encoded is not None and len(encoded) <= _MOST_BYTES else None


def _broken() -> ItemError:
    return _item("invalid-value", "must be text without \\u0000 and without lone surrogates")


def _too_long() -> ItemError:
    return _item("too-long", f"must have at most {_MOST_BYTES} bytes")


def _item(code: str, what: str) -> ItemError:
    return ItemError(code, f"password {what}", field="password")


def _invalid(items: list[ItemError]) -> Invalid:
    return Invalid(f"{items[0].detail}.", items=items)
