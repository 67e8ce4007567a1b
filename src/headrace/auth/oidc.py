"""Users of an OpenID provider (Keycloak or any other): their access tokens, and signing in through the browser.

The provider says who somebody is and which role they have; what they may do on buckets is said here. The code flow is
OpenID Connect Core 3.1 with PKCE (RFC 7636), a nonce, and a state that is bound to the browser by a sealed cookie.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from headrace.auth.guard import Guard
from headrace.auth.oidc_arrivals import Arrivals, arrival_of, highest, role_of
from headrace.auth.oidc_tokens import Claims, OidcTokens
from headrace.errors import Unauthenticated
from headrace.kit.times import SECOND
from headrace.model.account import Account, User
from headrace.model.principal import Role
from headrace.ports.accounts import Accounts
from headrace.ports.clock import Clock
from headrace.ports.identity_provider import IdentityProvider

STATE_SECONDS = 600
"""How long somebody may take to sign in at the provider: the longest life of the state cookie."""
OIDC = "oidc"
"""The door, as the guard counts it: each code that comes back is a request of ours to the provider."""
_COOKIE_USE = "oidc-state"  # the same key seals other things, too
_COOKIE_CHARACTERS = 2_048
_CODE_CHARACTERS = 4_096


@dataclass(frozen=True, slots=True)
class OidcOptions:
    """`audience` is what `aud` of access tokens must hold; empty: the client id. `redirect_uri` is our callback."""

    client_id: str
    audience: str
    roles_claim: str
    role_map: Mapping[str, Role]
    redirect_uri: str


class Seals(Protocol):
    """Encrypts what only this service may read again, changed by nobody."""

    def seal(self, data: bytes, /) -> bytes:
        """Any bytes."""

    def unseal(self, data: bytes, /) -> bytes | None:
        """None for what was not sealed here."""


class Arrived(NamedTuple):
    """Somebody whom the provider has let in, and where they wanted to go: None for whoever wants tokens."""

    user: User
    next: str | None


class _SignIn(NamedTuple):
    """What the browser carries, sealed, from `begin` to `finish`."""

    state: str
    nonce: str
    verifier: str
    began_at: int
    next: str | None = None


class Oidc:
    """Raises Unauthenticated for what is not good, Unavailable when the provider or the control data are down, and
    OverQuota after too many codes that were not good."""

    def __init__(
        self,
        provider: IdentityProvider,
        accounts: Accounts,
        clock: Clock,
        sealer: Seals,
        options: OidcOptions,
        guard: Guard,
    ) -> None:
        self._provider = provider
        self._guard = guard
        self._clock = clock
        self._sealer = sealer
        self._options = options
        self._tokens = OidcTokens(provider, clock, options.client_id, options.audience)
        self._arrivals = Arrivals(accounts, clock, provider.issuer)

    @property
    def issuer(self) -> str:
        """A bearer token with this `iss` is for `account_of`."""
        return self._provider.issuer

    async def account_of(self, token: str, address: str | None = None) -> Account:
        """Whose access token this is; a user seen for the first time is made."""
        claims = await self._tokens.bearer(token)
        return await self._arrivals.account(arrival_of(claims, self._role(claims)), address)

    async def begin(self, next: str | None = None) -> tuple[str, str]:
        """Where to send the browser, and the value of a cookie (HttpOnly, SameSite=Lax) to give it on the way. `next`
        comes back from `finish` as it is: it has to be a path of ours."""
        sign_in = _SignIn(_random(), _random(), _random(), self._clock.now(), next)
        url = await self._provider.authorization_url(
            redirect_uri=self._options.redirect_uri,
            state=sign_in.state,
            nonce=sign_in.nonce,
            challenge=_base64(hashlib.sha256(sign_in.verifier.encode()).digest()),
        )
        content = json.dumps([_COOKIE_USE, *sign_in]).encode()
        return url, _base64(self._sealer.seal(content))

    async def finish(
        self, code: str, state: str, state_cookie: str, address: str, *, issuer: str | None = None
    ) -> Arrived:
        """The browser came back: who it is; a session is for the caller to begin. `issuer` is the parameter `iss` where
        there is one (RFC 9207).

        Only the browser that began can finish: a link that somebody else made brings no cookie that fits its state.
        """
        sign_in = self._opened(state_cookie)
        if sign_in is None or not hmac.compare_digest(sign_in.state.encode(), state.encode("utf-8", "replace")):
            raise Unauthenticated("This sign-in was not begun in this browser, or too long ago: begin again.")
        if issuer not in (None, self._provider.issuer):
            raise Unauthenticated("This answer comes from another OpenID provider: begin again.")
        if not 0 < len(code) <= _CODE_CHARACTERS:
            raise Unauthenticated("The OpenID provider sent no code: begin again.")
        async with self._guard.passing(OIDC, None, address):
            answer = await self._provider.redeem(
                code=code, redirect_uri=self._options.redirect_uri, verifier=sign_in.verifier
            )
        await self._guard.succeeded(OIDC, None, address)
        who, beside = await self._tokens.signed_in(answer, sign_in.nonce)
        # Keycloak tells the roles in the access token alone, unless a mapper puts them into both.
        arrival = arrival_of({**beside, **who}, highest(self._role(beside), self._role(who)))
        account = await self._arrivals.account(arrival, address)
        return Arrived(account.user, sign_in.next)

    def _role(self, claims: Claims) -> Role:
        return role_of(claims, self._options.roles_claim, self._options.role_map)

    def _opened(self, cookie: str) -> _SignIn | None:
        if len(cookie) > _COOKIE_CHARACTERS:
            return None
        try:
            opened = self._sealer.unseal(base64.urlsafe_b64decode(cookie.encode("ascii") + b"=" * (-len(cookie) % 4)))
            use, *parts = json.loads(opened or b"[null]")
        except (ValueError, TypeError):
            return None
        if use != _COOKIE_USE:
            return None
        sign_in = _SignIn(*parts)
        age = self._clock.now() - sign_in.began_at
        return sign_in if abs(age) <= STATE_SECONDS * SECOND else None  # from the future: the clock was set back


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _random() -> str:
    """256 bits, 43 characters: what PKCE asks for at least."""
    return secrets.token_urlsafe(32)
