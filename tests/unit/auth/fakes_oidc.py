"""What `auth/oidc.py` needs around it: a provider without sockets, users in a dict, a seal that can be looked at."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.adapters.memory.limiter import MemoryLimiter
from headrace.auth.guard import Guard
from headrace.auth.oidc import Oidc, OidcOptions
from headrace.errors import Conflict, Unauthenticated, Unavailable
from headrace.model.account import Account, Identity, User
from headrace.model.audit import AuditRecord
from headrace.model.principal import Role
from headrace.ports.clock import Clock
from headrace.ports.limiter import Limit
from tests.support.openid_tokens import OpenIdTokens
from tests.unit.control import HandClock

CALLBACK = "http://127.0.0.1:8000/v1/auth/oidc/callback"
ADDRESS = "192.0.2.7"
ROLE_MAP = {"headrace-admin": Role.ADMIN, "headrace-manager": Role.MANAGER}


class HeldProvider:
    """`shown` is the JWK set as last fetched; `down` keeps newer ones away. `answers` are the token answers by code."""

    def __init__(self, tokens: OpenIdTokens) -> None:
        self.tokens = tokens
        self.shown: Mapping[str, Any] = tokens.key_set()
        self.asked: list[bool] = []
        self.answers: dict[str, Mapping[str, Any]] = {}
        self.redeemed: list[tuple[str, str, str]] = []
        self.sent: list[dict[str, str]] = []
        self.down = False

    @property
    def issuer(self) -> str:
        return self.tokens.issuer

    async def key_set(self, *, unknown_kid: bool) -> Mapping[str, Any]:
        self.asked.append(unknown_kid)
        if unknown_kid:
            if self.down:
                raise Unavailable("down")
            self.shown = self.tokens.key_set()
        return self.shown

    async def authorization_url(self, **parameters: str) -> str:
        self.sent.append(parameters)
        return f"https://sign-in.example/auth?state={parameters['state']}"

    async def redeem(self, *, code: str, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        self.redeemed.append((code, redirect_uri, verifier))
        if code not in self.answers:
            raise Unauthenticated("used")
        return self.answers.pop(code)


class HeldUsers:
    """Usernames, e-mail addresses and identities are unique, as in the database; `others` are of other users."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.identities: dict[tuple[str, str], Identity] = {}
        self.audited: list[AuditRecord] = []
        self.others: set[str | None] = set()
        self.writes = 0

    async def add_user(self, user: User, audit: AuditRecord, identity: Identity) -> None:
        await asyncio.sleep(0)
        taken = self.others.union(*({user.username, user.email} for user in self.users.values()))
        if user.email is not None and user.email in taken:
            raise Conflict("taken", code="email-taken")
        if user.username in taken or (identity.issuer, identity.subject) in self.identities:
            raise Conflict("taken", code="username-taken")
        self.users[user.id] = user
        self.identities[identity.issuer, identity.subject] = identity
        self.audited.append(audit)

    async def find_identity(self, issuer: str, subject: str) -> tuple[Identity, Account] | None:
        await asyncio.sleep(0)
        identity = self.identities.get((issuer, subject))
        return None if identity is None else (identity, Account(self.users[identity.user_id], {}))

    async def sync_identity(self, identity: Identity, role: Role, audit: AuditRecord | None) -> None:
        self.writes += 1
        known = self.identities[identity.issuer, identity.subject]
        if identity.synced_at <= known.synced_at:
            return
        self.identities[identity.issuer, identity.subject] = identity
        self.users[identity.user_id] = replace(self.users[identity.user_id], role=role)
        if audit is not None:
            self.audited.append(audit)

    def only(self) -> User:
        (user,) = self.users.values()
        return user


class OpenSeal:
    """Anyone can read it, nobody can change it: what is in there is not what these tests are about."""

    def seal(self, data: bytes) -> bytes:
        return hashlib.sha256(b"key" + data).digest() + data

    def unseal(self, data: bytes) -> bytes | None:
        return data[32:] if hashlib.sha256(b"key" + data[32:]).digest() == data[:32] else None


def guard_of(clock: Clock) -> Guard:
    return Guard(MemoryLimiter(clock), Limit("account", 10, 900), Limit("address", 100, 900))


class House:
    """An Oidc with fakes on every side."""

    def __init__(self, tokens: OpenIdTokens, *, audience: str = "", roles_claim: str = "realm_access.roles") -> None:
        self.clock = HandClock()
        self.tokens = tokens
        tokens.now = lambda: self.clock.now() / 1_000_000
        self.provider = HeldProvider(tokens)
        self.accounts = HeldUsers()
        self.sessions: list[tuple[User, str, str]] = []
        options = OidcOptions(tokens.client_id, audience, roles_claim, ROLE_MAP, CALLBACK)
        guard = guard_of(self.clock)
        self.oidc = Oidc(self.provider, self.accounts, self.clock, OpenSeal(), options, guard)  # type: ignore[arg-type]

    async def _begin_session(self, user: User, address: str, how: str) -> Any:
        self.sessions.append((user, address, how))
        return f"session {len(self.sessions)}"

    def signed_in(self, code: str = "code-1", *, id_claims: Mapping[str, Any] | None = None, **access: Any) -> str:
        """The provider will give tokens for this code, in answer to the last sign-in begun."""
        access_token = self.tokens.token(**access)
        nonce = self.provider.sent[-1]["nonce"]
        claims: dict[str, Any] = {"nonce": nonce, **(id_claims or {})}
        self.provider.answers[code] = {
            "access_token": access_token,
            "id_token": self.tokens.id_token(access_token=access_token, **claims),
        }
        return code

    async def finish(
        self, cookie: str, code: str = "code-1", state: str | None = None, issuer: str | None = None
    ) -> Any:
        state = self.provider.sent[-1]["state"] if state is None else state
        arrived = await self.oidc.finish(code, state, cookie, ADDRESS, issuer=issuer)
        return await self._begin_session(arrived.user, ADDRESS, "oidc")


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
