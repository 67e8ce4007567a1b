"""From the Authorization header to a Principal, through memories that are short and bounded.

A key is looked up at most once in 5 s, so that its revocation bites within that time. While the control data cannot
be reached, keys confirmed in the last 15 minutes stay good and all others are Unavailable, never Unauthenticated:
shippers drop what they hold on a 401. A flood of made-up keys costs a few lookups a second and a few kilobytes.
"""

from __future__ import annotations

from headrace.auth.keys import KeyParts, matches, parse_key
from headrace.errors import Overloaded, Unauthenticated, Unavailable
from headrace.kit.lookup import Lookup
from headrace.kit.times import SECOND
from headrace.kit.token_bucket import TokenBucket
from headrace.model.account import ApiKey
from headrace.model.principal import Principal
from headrace.ports.accounts import Accounts
from headrace.ports.clock import Clock

FRESH_SECONDS = 5.0
STALE_SECONDS = 15 * 60.0
_KEYS = 10_000  # about 0.5 KB each
_ABSENT = 1_000
_HEADERS = 4_096
_HEADER_BYTES = 256  # a key with its scheme has 59
# Ids that were never asked for: a fleet that starts with the server, then a trickle. A lookup takes about 1 ms of CPU.
_STRANGERS = 1_000
_STRANGERS_PER_SECOND = 50


class Authenticator:
    """`cached` for the fast lane, `authenticate` for everyone else and for what `cached` does not know."""

    def __init__(self, accounts: Accounts, clock: Clock) -> None:
        self._clock = clock
        self._monotonic = clock.monotonic
        self._keys: Lookup[str, ApiKey] = Lookup(
            accounts.find_key,
            clock.monotonic,
            Unavailable,
            fresh=FRESH_SECONDS,
            stale=STALE_SECONDS,
            size=_KEYS,
            absent=_ABSENT,
        )
        self._strangers = TokenBucket(_STRANGERS, _STRANGERS_PER_SECOND, clock.monotonic)
        self._verified: dict[bytes, tuple[Principal, float]] = {}

    def cached(self, authorization: bytes) -> Principal | None:
        """The caller, if exactly this header was verified less than 5 s ago; None says nothing.

        The header itself is the key of the dict: a hash of it would cost more than the rest. Finding it compares the
        seeded 64-bit hashes first, so the time it takes tells nothing about the secrets in there.
        """
        hit = self._verified.get(authorization)
        return hit[0] if hit is not None and self._monotonic() < hit[1] else None

    async def authenticate(self, authorization: str | None) -> Principal:
        """The caller. Raises Unauthenticated, and Unavailable when that cannot be known now."""
        if not authorization:
            raise Unauthenticated("This call needs a credential: send the header `Authorization: Bearer <API key>`.")
        parts = _bearer_key(authorization)
        key = await self._find(parts.id)
        if key is None or not matches(parts.secret, key.secret_sha256):
            raise Unauthenticated("This key is not known: it was mistyped, revoked, or belongs to another server.")
        left = self._seconds_left(key)
        if left <= 0:
            raise Unauthenticated("This key has expired: ask an administrator for a new one.", code="expired-key")
        principal = Principal(id=key.id, kind="api_key", name=key.name, role=key.role)
        self._remember(authorization, principal, min(self._keys.good_until(key.id), self._monotonic() + left))
        return principal

    async def _find(self, key_id: str) -> ApiKey | None:
        if not self._keys.knows(key_id) and not self._strangers.take():
            raise Overloaded("Too many unknown keys are being tried: try again soon.")
        return await self._keys.get(key_id)

    def _seconds_left(self, key: ApiKey) -> float:
        return float("inf") if key.expires_at is None else (key.expires_at - self._clock.now()) / SECOND

    def _remember(self, authorization: str, principal: Principal, good_until: float) -> None:
        header = authorization.encode("latin-1")  # as it came over the wire; it matched, so it is ASCII
        if len(header) > _HEADER_BYTES:
            return
        self._verified.pop(header, None)
        self._verified[header] = (principal, good_until)
        if len(self._verified) > _HEADERS:
            del self._verified[next(iter(self._verified))]


def _bearer_key(authorization: str) -> KeyParts:
    scheme, _, token = authorization.partition(" ")
    parts = parse_key(token.strip(" ")) if scheme.lower() == "bearer" else None
    if parts is None:
        raise Unauthenticated("This credential has not the form `Bearer hr_<id>_<secret>`.")
    return parts
