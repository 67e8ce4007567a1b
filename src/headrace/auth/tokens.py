"""Access tokens and viewer tokens: made, verified, and the keys behind them rotated (DESIGN §8).

Whatever is wrong with a token, the answer is one and the same; only who holds a token that was good is told that it
has expired. Whether its session, user or maker is still there is for the caller to ask.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from headrace.auth import token_claims
from headrace.auth.sealing import Sealer
from headrace.auth.signing_ring import RETAINED, SigningRing
from headrace.auth.token_claims import LONGEST_SECONDS, MOST_BYTES
from headrace.auth.token_claims import AccessClaims as AccessClaims
from headrace.auth.token_claims import ViewerClaims as ViewerClaims
from headrace.errors import Invalid, ItemError, Unauthenticated, Unavailable, Unusable
from headrace.kit.ids import format_id, uuid7
from headrace.kit.times import SECOND
from headrace.model.account import SigningKey
from headrace.model.audit import AuditRecord
from headrace.model.permission import require_admin
from headrace.model.principal import Principal
from headrace.ports.clock import Clock
from headrace.ports.signing_keys import SigningKeys

if TYPE_CHECKING:
    from headrace.auth.eddsa import TokenKey

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """`expires_in` is in seconds."""

    text: str = field(repr=False)
    expires_in: int


_END_OF_TIME = 2**62  # µs; beyond any clock that is wrong


class AccessTokens:
    """`issuer` is what `iss` says; `lifetime_seconds` is of access tokens, at most a day.

    Raises Unavailable when the keys cannot be read and never could.
    """

    def __init__(
        self, signing_keys: SigningKeys, sealer: Sealer, clock: Clock, issuer: str, lifetime_seconds: int
    ) -> None:
        if not 1 <= lifetime_seconds <= LONGEST_SECONDS:
            raise ValueError(f"an access token is good for 1 to {LONGEST_SECONDS} seconds")
        self._port = signing_keys
        self._sealer = sealer
        self._clock = clock
        self._issuer = issuer
        self._lifetime = lifetime_seconds
        self._ring = SigningRing(signing_keys, sealer, clock)

    async def ensure_key(self) -> None:
        """At start: have a key that signs. Raises Unusable when another server has one that we cannot unseal."""
        await self._ring.reload()
        newest = self._ring.newest()
        if newest is not None and newest.key is not None:
            return
        if newest is not None:
            _log.warning(
                "the key that signs tokens was sealed with another secret key: a new one takes its place, and whoever "
                "holds a token of the old one has to sign in again"
            )
        why = "the first" if newest is None else "the old one was sealed with another secret key"
        await self._add("headrace", "system", f"A new key signs tokens: {why}", {}, retire=newest is not None)
        await self._ring.reload()
        newest = self._ring.newest()
        if newest is None or newest.key is None:
            raise Unusable("The key that signs tokens was sealed with another secret key: all servers need the same.")

    async def issue(self, user_id: str, session_id: str) -> IssuedToken:
        """An access token of this session (both ids are UUIDs as text)."""
        key = await self._ring.signer()
        now = self._clock.now()
        expires_at = _whole_seconds(now + self._lifetime * SECOND)
        claims = AccessClaims(format_id(uuid7(now)), user_id, session_id, now, expires_at)
        text = key.sign(token_claims.ACCESS, token_claims.access_payload(self._issuer, claims))
        return IssuedToken(text, self._lifetime)

    async def issue_viewer(self, claims: ViewerClaims, lifetime: int) -> str:
        """A viewer token, good until `claims.expires_at`, and for no more than `lifetime` seconds (1 to a day).

        Raises Invalid when its filter is too long to be sent with each request.
        """
        if not 1 <= lifetime <= LONGEST_SECONDS:
            raise ValueError(f"a viewer token is good for 1 to {LONGEST_SECONDS} seconds")
        key = await self._ring.signer()
        now = self._clock.now()
        claims = replace(claims, expires_at=_whole_seconds(min(claims.expires_at, now + lifetime * SECOND)))
        text = key.sign(token_claims.VIEWER, token_claims.viewer_payload(self._issuer, now, claims))
        if len(text) > MOST_BYTES:
            what = f"is too long: the token would have {len(text)} bytes, and at most {MOST_BYTES} can be sent"
            raise Invalid(f"filter {what}.", items=[ItemError("too-long", f"filter {what}", field="filter")])
        return text

    async def verify(self, text: str) -> AccessClaims | ViewerClaims:
        """What a token of ours says. Raises Unauthenticated (with the code expired-token when nothing else is wrong).

        Unavailable while an unknown key cannot be looked for.
        """
        try:
            header = token_claims.header_of(text)
            key = await self._ring.verifier(header.kid)
            payload = None if key is None else key.opened(text)
            if payload is None:
                raise _refusal()
            claims = token_claims.claims_of(header.typ, payload, self._issuer, self._clock.now())
        except ValueError:
            raise _refusal() from None  # the cause may quote the token
        if self._clock.now() >= claims.expires_at:
            raise Unauthenticated("This token has expired: refresh it, or ask for a new one.", code="expired-token")
        return claims

    async def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The public keys that verify, as a JSON Web Key Set (RFC 7517)."""
        return {"keys": [key.public_jwk() for key in await self._ring.published()]}

    async def rotate(self, actor: Principal, address: str, *, revoke: bool = False) -> str:
        """A new key signs from now on (in other processes within 5 s); its id. The old ones verify for another day, or
        with `revoke` no more: all tokens that are out are dead then.

        Raises Forbidden, and Unavailable when the control data cannot be reached.
        """
        require_admin(actor)
        attributes: dict[str, object] = {"address": address} | ({"revoked": True} if revoke else {})
        kid = await self._add(actor.id, actor.kind, "A new key signs tokens", attributes, retire=True)
        if revoke:
            await self._port.forget_signing_keys(_END_OF_TIME)
        try:
            await self._ring.reload()
        except Unavailable:
            self._ring.expire()  # it is done all the same
        return kid

    async def step(self) -> int:
        """Forget the keys of which no token is good any more. How many."""
        before = self._clock.now() - RETAINED
        count = await self._ring.forgettable(before)
        if count:
            await self._port.forget_signing_keys(before)
            await self._ring.reload()
        return count

    async def _add(
        self, actor_id: str, actor_type: str, message: str, attributes: dict[str, object], *, retire: bool
    ) -> str:
        now = self._clock.now()
        key = _new_key(format_id(uuid7(now)))
        audit = AuditRecord(
            id=uuid7(now),
            time=now,
            action="signing_key.rotated",
            actor_id=actor_id,
            actor_type=actor_type,
            target_id=key.kid,
            target_type="signing_key",
            message=message,
            attributes=attributes,
        )
        sealed = self._sealer.seal(key.private_jwk())
        await self._port.add_signing_key(SigningKey(key.kid, sealed, now), audit, retire=retire)
        return key.kid


def _new_key(kid: str) -> TokenKey:
    from headrace.auth.eddsa import TokenKey

    return TokenKey.new(kid)


def _whole_seconds(time: int) -> int:
    """Up, so that nothing expires before it was said to. Times in a JWT are in seconds."""
    return -(-time // SECOND) * SECOND


def _refusal() -> Unauthenticated:
    return Unauthenticated("This token is not good here: sign in again, or ask for a new one.")
