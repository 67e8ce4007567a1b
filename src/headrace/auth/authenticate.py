"""From the Authorization header to a Principal, through memories that are short and bounded.

A credential is looked up at most once in 5 s, so that revocation, a lost grant or a logout bites within that time.
While the control data cannot be reached, credentials confirmed in the last 15 minutes stay good and all others are
Unavailable, never Unauthenticated: shippers drop what they hold on a 401. A flood of made-up keys costs a few lookups
a second and a few kilobytes; a made-up token is refused by its signature before anything is looked up.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from typing import TypeVar

from headrace.auth import worth
from headrace.auth.keys import KeyParts, matches, parse_key
from headrace.auth.last_used import LastUsed
from headrace.auth.oidc import Oidc
from headrace.auth.token_claims import MOST_BYTES, AccessClaims, ViewerClaims
from headrace.auth.tokens import AccessTokens
from headrace.auth.viewer import ViewerTokens
from headrace.errors import Overloaded, Unauthenticated, Unavailable
from headrace.kit.lookup import Lookup
from headrace.kit.times import SECOND
from headrace.kit.token_bucket import TokenBucket
from headrace.model.account import Account, KnownKey, KnownSession
from headrace.model.principal import API_KEY, Principal
from headrace.ports.accounts import Accounts
from headrace.ports.clock import Clock
from headrace.ports.keys import Keys
from headrace.ports.sessions import Sessions

FRESH_SECONDS = 5.0
STALE_SECONDS = 15 * 60.0
_REMEMBERED = 10_000  # of each kind; about 0.5 KB each
_TOKENS = 2_000  # of an OpenID provider; they have 1 to 2 KB
_ABSENT = 1_000
_HEADERS = 4_096
_HEADER_BYTES = 2_048  # a key with its scheme has 59, an access token about 500, one of Keycloak 1,500
# Ids that were never asked for: a fleet that starts with the server, then a trickle. A lookup takes about 1 ms of CPU.
_STRANGERS = 1_000
_STRANGERS_PER_SECOND = 50

V = TypeVar("V")


class Authenticator:
    """`cached` for the fast lane, `authenticate` for everyone else and for what `cached` does not know."""

    def __init__(
        self,
        keys: Keys,
        sessions: Sessions,
        accounts: Accounts,
        tokens: AccessTokens,
        viewers: ViewerTokens,
        oidc: Oidc | None,
        last_used: LastUsed,
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._viewers = viewers
        self._oidc = oidc
        self._last_used = last_used
        self._clock = clock
        self._monotonic = clock.monotonic
        self._keys: Lookup[str, KnownKey] = self._lookup(keys.find_key, absent=_ABSENT)
        self._sessions: Lookup[str, KnownSession] = self._lookup(sessions.find_session, absent=_ABSENT)
        self._accounts: Lookup[str, Account] = self._lookup(accounts.find_account)
        self._foreign: Lookup[str, Account] = self._lookup(self._foreign_account, size=_TOKENS)
        self._strangers = TokenBucket(_STRANGERS, _STRANGERS_PER_SECOND, clock.monotonic)
        self._visitors = TokenBucket(_STRANGERS, _STRANGERS_PER_SECOND, clock.monotonic)
        self._verified: dict[bytes, tuple[Principal, float]] = {}

    def _lookup(
        self, ask: Callable[[str], Awaitable[V | None]], *, size: int = _REMEMBERED, absent: int = 0
    ) -> Lookup[str, V]:
        return Lookup(
            ask, self._monotonic, Unavailable, fresh=FRESH_SECONDS, stale=STALE_SECONDS, size=size, absent=absent
        )

    def cached(self, authorization: bytes) -> Principal | None:
        """The caller, if exactly this header was verified less than 5 s ago; None says nothing.

        The header itself is the key of the dict: a hash of it would cost more than the rest. Finding it compares the
        seeded 64-bit hashes first, so the time it takes tells nothing about the secrets in there.
        """
        hit = self._verified.get(authorization)
        return hit[0] if hit is not None and self._monotonic() < hit[1] else None

    async def authenticate(self, authorization: str | None) -> Principal:
        """The caller. Raises Unauthenticated, and Unavailable when that cannot be known now."""
        text = _bearer(authorization)
        parts = parse_key(text)
        if parts is not None:
            principal, good_until = await self._by_key(parts)
        elif text.count(".") == 2:
            principal, good_until = await self._by_token(text)
        else:
            raise Unauthenticated("This credential has neither the form `Bearer hr_<id>_<secret>` nor is it a token.")
        assert authorization is not None
        self._remember(authorization, principal, good_until)
        return principal

    async def session(self, session_id: str) -> KnownSession | None:
        """A sign-in that has not ended, as it was at most 5 s ago: for cookies, whose secret the caller looks at.

        Raises Unavailable when that cannot be known now.
        """
        if not self._sessions.knows(session_id) and not self._visitors.take():
            raise Overloaded("Too many unknown sessions are being tried: try again soon.")
        known = await self._sessions.get(session_id)
        return known if known is not None and self._seconds_left(known.session.expires_at) > 0 else None

    def forget_session(self, session_id: str) -> None:
        """It has changed in this process, but not what it is worth."""
        self._sessions.drop(session_id)

    def forget(self, kind: str, id: str) -> None:
        """What this user or key is worth has changed in this process: let it show at once.

        Viewer tokens hang on either, and changes are rare: so all headers are looked at again.
        """
        self._verified.clear()
        if kind == API_KEY:
            self._keys.drop_where(lambda known: known.key.id == id)
        else:
            self._keys.drop_where(lambda known: known.key.owner_id == id)
            self._sessions.drop_where(lambda known: known.session.user_id == id)
            self._accounts.drop_where(lambda account: account.user.id == id)
            self._foreign.drop_where(lambda account: account.user.id == id)

    # --- keys -----------------------------------------------------------------------------------------------------

    async def _by_key(self, parts: KeyParts) -> tuple[Principal, float]:
        if not self._keys.knows(parts.id) and not self._strangers.take():
            raise Overloaded("Too many unknown keys are being tried: try again soon.")
        known = await self._keys.get(parts.id)
        principal = worth.of_key(known) if known is not None else None
        if known is None or principal is None or not matches(parts.secret, known.key.secret_sha256):
            raise Unauthenticated("This key is not known: it was mistyped, revoked, or belongs to another server.")
        left = self._seconds_left(known.key.expires_at)
        if left <= 0:
            raise Unauthenticated("This key has expired: make or ask for a new one.", code="expired-key")
        self._last_used.note(principal.id, self._clock.now())
        return principal, min(self._keys.good_until(parts.id), self._monotonic() + left)

    # --- tokens ---------------------------------------------------------------------------------------------------

    async def _by_token(self, text: str) -> tuple[Principal, float]:
        if self._oidc is not None and _issuer_of(text) == self._oidc.issuer:
            account = await self._foreign.get(text)
            principal = worth.of_account(account) if account is not None else None
            return _known(principal), self._foreign.good_until(text)
        claims = await self._tokens.verify(text)
        left = self._seconds_left(claims.expires_at)
        if isinstance(claims, ViewerClaims):
            principal, good_until = await self._viewer(claims)
        else:
            principal, good_until = await self._user(claims), self._sessions.good_until(claims.session_id)
        return principal, min(good_until, self._monotonic() + left)

    async def _user(self, claims: AccessClaims) -> Principal:
        known = await self._sessions.get(claims.session_id)
        good = (
            known is not None
            and known.session.user_id == claims.user_id
            and self._seconds_left(known.session.expires_at) > 0
        )
        return _known(worth.of_account(known.account, claims.session_id) if known is not None and good else None)

    async def _viewer(self, claims: ViewerClaims) -> tuple[Principal, float]:
        maker, good_until = await self._maker(claims)
        return self._viewers.principal_of(claims, _known(maker)), good_until

    async def _maker(self, claims: ViewerClaims) -> tuple[Principal | None, float]:
        """Who made the token, as of now, and until when that may be believed."""
        if claims.maker_kind != API_KEY:
            account = await self._accounts.get(claims.maker_id)
            maker = worth.of_account(account) if account is not None else None
            return maker, self._accounts.good_until(claims.maker_id)
        known = await self._keys.get(claims.maker_id)
        left = self._seconds_left(known.key.expires_at) if known is not None else 0.0
        maker = worth.of_key(known) if known is not None and left > 0 else None
        return maker, min(self._keys.good_until(claims.maker_id), self._monotonic() + left)

    async def _foreign_account(self, text: str) -> Account | None:
        assert self._oidc is not None
        return await self._oidc.account_of(text)

    # --------------------------------------------------------------------------------------------------------------

    def _seconds_left(self, expires_at: int | None) -> float:
        return float("inf") if expires_at is None else (expires_at - self._clock.now()) / SECOND

    def _remember(self, authorization: str, principal: Principal, good_until: float) -> None:
        header = authorization.encode("latin-1")  # as it came over the wire; it matched, so it is ASCII
        if len(header) > _HEADER_BYTES:
            return
        self._verified.pop(header, None)
        self._verified[header] = (principal, good_until)
        if len(self._verified) > _HEADERS:
            del self._verified[next(iter(self._verified))]


def _bearer(authorization: str | None) -> str:
    """The credential itself. Raises Unauthenticated before anything is parsed that could be large."""
    if not authorization:
        raise Unauthenticated(
            "This call needs a credential: send the header `Authorization: Bearer <API key or access token>`."
        )
    if len(authorization) > MOST_BYTES:
        raise Unauthenticated(f"A credential has at most {MOST_BYTES} bytes.")
    scheme, _, text = authorization.partition(" ")
    text = text.strip(" ")
    if scheme.lower() != "bearer" or not text.isascii():
        raise Unauthenticated("This credential has not the form `Bearer <API key or access token>`.")
    return text


def _issuer_of(token: str) -> object:
    """What the token says of its issuer, not believed: it only tells whose keys to check it with."""
    try:
        claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    except (ValueError, RecursionError):
        return None
    return claims.get("iss") if isinstance(claims, dict) else None


def _known(principal: Principal | None) -> Principal:
    if principal is None:
        raise Unauthenticated("This token is not good any more: sign in again.")
    return principal
