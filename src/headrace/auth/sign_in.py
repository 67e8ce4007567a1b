"""Signing in with a password, staying signed in by refresh tokens, and signing out.

A refresh token is `hrr_<session id>_<secret>`. Each use replaces its secret; whoever comes with an old one ends the
session, since it cannot be told whether its owner or a thief came first (RFC 9700, 4.14.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn, Protocol, TypeVar

import structlog

from headrace.auth import audited
from headrace.auth.guard import Guard
from headrace.auth.keys import digest, matches
from headrace.auth.links import new_secret
from headrace.auth.names import may_exist, typed
from headrace.auth.passwords import Passwords
from headrace.auth.tokens import AccessTokens
from headrace.errors import Conflict, Forbidden, HeadraceError, Unauthenticated, Unavailable
from headrace.kit.ids import format_id, uuid7
from headrace.kit.times import SECOND
from headrace.model.account import Session, User
from headrace.model.audit import AuditRecord
from headrace.model.principal import USER, Forget, Principal, nothing_to_forget
from headrace.ports.accounts import Accounts
from headrace.ports.audit import AuditOutbox
from headrace.ports.clock import Clock
from headrace.ports.sessions import Sessions

T = TypeVar("T")
Begun_co = TypeVar("Begun_co", covariant=True)

LOGIN, REFRESH, SHUT_OUT = "login", "refresh", "shut-out"
"""The doors, as the guard counts them. Who knows the password but is not let in is counted apart, since that is no
guess: each time is a record in `_audit`, and anybody can register and never verify."""

_REFRESH_TOKEN = re.compile(r"hrr_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)
_log = structlog.get_logger("headrace.auth")


@dataclass(frozen=True, slots=True)
class SignInOptions:
    """`session_seconds` after its last refresh a session ends."""

    require_verified: bool
    session_seconds: int


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client holds: `access_token` is good for `expires_in` seconds, `refresh_token` once."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)


class Begin(Protocol[Begun_co]):
    async def __call__(self, user: User, address: str, how: str, /) -> Begun_co:
        """A session of this user, recorded as `user.login`."""


class _Ticket(NamedTuple):
    """A refresh token, taken apart."""

    session_id: str
    secret: str


class SignIn:
    """All raise Unavailable when the control data cannot be reached, and OverQuota after too many failures."""

    def __init__(
        self,
        accounts: Accounts,
        sessions: Sessions,
        passwords: Passwords,
        tokens: AccessTokens,
        guard: Guard,
        audit: AuditOutbox,
        clock: Clock,
        options: SignInOptions,
        forget: Forget = nothing_to_forget,
    ) -> None:
        self._accounts = accounts
        self._sessions = sessions
        self._passwords = passwords
        self._tokens = tokens
        self._guard = guard
        self._audit = audit
        self._clock = clock
        self._options = options
        self._forget = forget

    async def login(self, name: str, password: str, address: str) -> TokenPair:
        """A new session for this username or e-mail address. Raises as `enter` does."""
        return await self.enter(name, password, address, self.begin_session)

    async def enter(self, name: str, password: str, address: str, begin: Begin[T]) -> T:
        """What `begin` makes of a user who has shown the password: every door with a password comes through here.

        Raises Unauthenticated, the same and after the same work for an unknown name and a wrong password; Forbidden
        `not-verified` or `disabled`, to those who know the password only.
        """
        name = typed(name)
        async with self._guard.passing(LOGIN, name, address):
            user = await self._find(name)
            verdict = await self._passwords.verify(password, user.password_hash if user else None)
        if user is None or not verdict.ok:
            await self._failed(user, address, "wrong-password" if user else "unknown-account")
            raise Unauthenticated("The user name or the password is wrong.")
        await self._guard.succeeded(LOGIN, name, address)
        await self._check(user, name, address)
        begun = await begin(user, address, "password")
        if verdict.rehash is not None:
            await self._renew(user, verdict.rehash)
        return begun

    async def begin_session(self, user: User, address: str, how: str) -> TokenPair:
        """A new session for a user who has shown who they are; `how` is for the record of it.

        Raises Unavailable when the password is another one by now (hashing queues for seconds in a storm), or the user
        disabled: nobody is let in by what was true a moment ago.
        """
        session_id, secret = format_id(uuid7(self._clock.now())), new_secret()
        issued = await self._tokens.issue(user.id, session_id)
        await self.add_session(user, session_id, digest(secret), address, how)
        return TokenPair(issued.text, issued.expires_in, _refresh_token(session_id, secret))

    async def add_session(self, user: User, session_id: str, secret_sha256: bytes, address: str, how: str) -> None:
        """The session itself, with its record. Raises Unavailable as `begin_session` does."""
        now = self._clock.now()
        record = audited.by_user(
            now, "user.login", user.id, "Signed in", {"address": address, "how": how, "session": session_id}
        )
        session = Session(session_id, user.id, secret_sha256, now, self.session_end(now))
        try:
            await self._sessions.add_session(session, user.password_hash, record)
        except Conflict as exc:
            raise Unavailable("This account was changed while you signed in: try again.") from exc

    async def refresh(self, refresh_token: str, address: str) -> TokenPair:
        """A new pair for the old one, which is dead from now on. Raises Unauthenticated: sign in again."""
        ticket = _parse(refresh_token)
        if ticket is None:
            raise Unauthenticated("This is not a refresh token of the form `hrr_<id>_<secret>`.")
        async with self._guard.passing(REFRESH, None, address):
            user_id = await self._redeem(ticket, address)
            issued = await self._tokens.issue(user_id, ticket.session_id)
            secret, end = new_secret(), self.session_end(self._clock.now())
            rotated = await self._sessions.rotate(ticket.session_id, digest(ticket.secret), digest(secret), end)
        if not rotated:  # another request with the same token was faster: one of the two is a thief's
            await self._reused(ticket.session_id, user_id, address)
        await self._guard.succeeded(REFRESH, None, address)
        return TokenPair(issued.text, issued.expires_in, _refresh_token(ticket.session_id, secret))

    async def logout(self, session_id: str, principal: Principal, address: str) -> None:
        """End the session of this access token. One that has ended already is fine, another user's is left alone."""
        known = await self._sessions.find_session(session_id)
        if known is not None and principal.kind == USER and known.session.user_id == principal.id:
            await self._sessions.end_session(session_id, self._logged_out(principal.id, session_id, address))
            self._forget(USER, principal.id)

    async def logout_by_refresh(self, refresh_token: str, address: str) -> None:
        """End the session of this refresh token. A token that is good for nothing any more is fine (RFC 7009, 2.2)."""
        ticket = _parse(refresh_token)
        if ticket is None:
            return
        try:
            async with self._guard.passing(REFRESH, None, address):
                user_id = await self._redeem(ticket, address)
        except Unauthenticated:
            return
        await self._sessions.end_session(ticket.session_id, self._logged_out(user_id, ticket.session_id, address))
        self._forget(USER, user_id)
        await self._guard.succeeded(REFRESH, None, address)

    async def _find(self, name: str) -> User | None:
        """The user with exactly this name: a collation of the database may find others that look alike."""
        user = await self._accounts.find_login(name) if may_exist(name) else None
        return user if user is not None and name in (user.username, user.email) else None

    async def _check(self, user: User, name: str, address: str) -> None:
        unverified = self._options.require_verified and not user.verified
        if not user.disabled and not unverified:
            return
        await self._guard.enter(SHUT_OUT, name, address)
        await self._failed(user, address, "disabled" if user.disabled else "not-verified")
        if user.disabled:
            raise Forbidden("This account is disabled: ask an administrator.", code="disabled")
        detail = "This account is not verified: open the link in the mail that you got, or reset the password."
        raise Forbidden(detail, code="not-verified")

    async def _renew(self, user: User, new_hash: str) -> None:
        """Store the same password under the parameters of today; if that fails the next login tries again."""
        assert user.password_hash is not None
        try:
            await self._accounts.replace_hash(user.id, user.password_hash, new_hash)
        except HeadraceError as exc:
            _log.warning("a password keeps its old hash for now", user_id=user.id, reason=exc.detail)

    async def _redeem(self, ticket: _Ticket, address: str) -> str:
        """The user of a live session whose newest secret this is. An old secret ends the session."""
        known = await self._sessions.find_session(ticket.session_id)
        if known is None:
            raise _ended()
        right = matches(ticket.secret, known.session.secret_sha256)
        if known.session.expires_at <= self._clock.now() or known.account.user.disabled:
            raise Unauthenticated("Your session has expired: sign in again.", code="expired-token" if right else None)
        if not right:
            await self._reused(ticket.session_id, known.session.user_id, address)
        return known.session.user_id

    async def _reused(self, session_id: str, user_id: str, address: str) -> NoReturn:
        message = "A refresh token was used again: the session was ended"
        record = audited.by_stranger(
            self._clock.now(),
            "session.reuse_detected",
            user_id,
            message,
            {"address": address, "session": session_id},
        )
        await self._sessions.end_session(session_id, record)
        self._forget(USER, user_id)
        raise _ended()

    async def _failed(self, user: User | None, address: str, reason: str) -> None:
        record = audited.by_stranger(
            self._clock.now(),
            "user.login_failed",
            user.id if user else None,
            "Sign-in refused",
            {"address": address, "reason": reason},
        )
        await self._audit.add(record)

    def _logged_out(self, user_id: str, session_id: str, address: str) -> AuditRecord:
        attributes = {"address": address, "session": session_id}
        return audited.by_user(self._clock.now(), "user.logout", user_id, "Signed out", attributes)

    def session_end(self, now: int) -> int:
        """When a session that is used now ends, if it is not used again."""
        return now + self._options.session_seconds * SECOND


def _refresh_token(session_id: str, secret: str) -> str:
    return f"hrr_{session_id.replace('-', '')}_{secret}"


def _parse(refresh_token: str) -> _Ticket | None:
    match = _REFRESH_TOKEN.fullmatch(refresh_token)
    return _Ticket(format_id(int(match[1], 16)), match[2]) if match else None


def _ended() -> Unauthenticated:
    return Unauthenticated("Your session has ended: sign in again.")
