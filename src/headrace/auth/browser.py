"""Sign-ins of browsers: a session whose one secret lives in a cookie, `hrb_<session id>_<secret>`.

It is a row like that of any other sign-in, so whatever ends sessions ends these too. The digest that is stored is of
another text than that of a refresh token: neither can be used in place of the other, though both are of one form.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from contextlib import suppress
from typing import NamedTuple

from headrace.auth import worth
from headrace.auth.authenticate import Authenticator
from headrace.auth.keys import digest, matches
from headrace.auth.links import new_secret
from headrace.auth.sign_in import SignIn
from headrace.errors import Unauthenticated, Unavailable
from headrace.kit.ids import format_id, uuid7
from headrace.kit.times import HOUR
from headrace.model.account import KnownSession, User
from headrace.model.principal import Principal
from headrace.ports.clock import Clock
from headrace.ports.sessions import Sessions

_SLIDES = HOUR  # a session that is used ends later again, but this is written at most so often
_COOKIE = re.compile(r"hrb_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)
_USE = "browser:"  # what a refresh token's secret never begins with


class _Cookie(NamedTuple):
    session_id: str
    secret: str


class BrowserSessions:
    """Sessions are known through the authenticator: at most 5 s old, and told of every change in this process.

    All raise Unavailable when the control data cannot be reached.
    """

    def __init__(self, sessions: Sessions, sign_in: SignIn, authenticator: Authenticator, clock: Clock) -> None:
        self._sessions = sessions
        self._sign_in = sign_in
        self._authenticator = authenticator
        self._clock = clock

    async def sign_in(self, name: str, password: str, address: str) -> str:
        """A new cookie for this username or e-mail address; raises as `SignIn.enter` does."""
        return await self._sign_in.enter(name, password, address, self.begin)

    async def begin(self, user: User, address: str, how: str) -> str:
        """A cookie of a new session of a user who has shown who they are. Its id is never one that a browser had."""
        session_id, secret = format_id(uuid7(self._clock.now())), new_secret()
        await self._sign_in.add_session(user, session_id, _digest(secret), address, how)
        return f"hrb_{session_id.replace('-', '')}_{secret}"

    async def principal_of(self, cookie: str) -> Principal:
        """Whose cookie this is. Raises Unauthenticated when its session has ended, or never was."""
        taken = _parse(cookie)
        known = await self._authenticator.session(taken.session_id) if taken is not None else None
        if taken is None or known is None or not matches(_USE + taken.secret, known.session.secret_sha256):
            raise Unauthenticated("Your session has ended: sign in again.")
        principal = worth.of_account(known.account, taken.session_id)
        if principal is None:
            raise Unauthenticated("Your session has ended: sign in again.")
        await self._slide(known)
        return principal

    async def end(self, cookie: str, address: str) -> None:
        """Sign out. A cookie that is good for nothing any more is fine."""
        with suppress(Unauthenticated):
            principal = await self.principal_of(cookie)
            assert principal.session_id is not None
            await self._sign_in.logout(principal.session_id, principal, address)

    async def _slide(self, known: KnownSession) -> None:
        """Put the end off. If that fails, a later request tries again."""
        session, now = known.session, self._clock.now()
        end = self._sign_in.session_end(now)
        if end - session.expires_at < min(_SLIDES, (end - now) // 4):
            return
        with suppress(Unavailable):
            await self._sessions.rotate(session.id, session.secret_sha256, session.secret_sha256, end)
            self._authenticator.forget_session(session.id)


def csrf_token(cookie: str) -> str:
    """What a form of this session carries: made of the cookie, which no other site can read, and it tells nothing of
    it."""
    made = hmac.digest(cookie.encode(), b"csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _digest(secret: str) -> bytes:
    return digest(_USE + secret)


def _parse(cookie: str) -> _Cookie | None:
    match = _COOKIE.fullmatch(cookie)
    return _Cookie(format_id(int(match[1], 16)), match[2]) if match else None
