"""Which tokens of the OpenID provider are good, and for what (OpenID Connect Core 3.1.3.7, RFC 9068, RFC 8725).

An access token is a key to this service, an ID token only tells who signed in: one never passes for the other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.errors import Unauthenticated
from headrace.kit.times import SECOND
from headrace.ports.clock import Clock
from headrace.ports.identity_provider import IdentityProvider

if TYPE_CHECKING:
    from headrace.auth.oidc_signature import KeyRing, Unverified

LEEWAY_SECONDS = 30
_BEARER_BYTES = 8 * 1024
_ANSWERED_BYTES = 64 * 1024  # from the token endpoint itself; Keycloak with 200 roles makes about 12 KiB
_SUBJECT_CHARACTERS = 255  # OpenID Connect Core 2
_ACCESS_TYPES = ("", "jwt", "at+jwt")
_ID_TYPES = ("", "jwt")
# Claims of ID and logout tokens. `nonce` too: old Keycloaks also put it into access tokens, but call those "Bearer".
_NEVER_IN_ACCESS = ("at_hash", "c_hash", "s_hash", "events")

Claims = Mapping[str, Any]


class OidcTokens:
    """Verifies; raises Unauthenticated for what is not good, Unavailable when the keys cannot be had now."""

    def __init__(self, provider: IdentityProvider, clock: Clock, client_id: str, audience: str) -> None:
        """`audience` is what `aud` of an access token has to hold; empty: the client id."""
        self._provider = provider
        self._clock = clock
        self._client_id = client_id
        self._audience = audience or client_id
        self._ring: KeyRing | None = None

    async def bearer(self, token: str) -> Claims:
        """The claims of an access token that was made for this service."""
        parts = await self._verified(token, _BEARER_BYTES)
        _require_access(parts)
        if self._audience not in _audiences(parts.claims):
            raise Unauthenticated("This token was not made for this service: its `aud` does not name it.")
        if self._audience == self._client_id and not _says_access(parts):
            raise Unauthenticated("This token does not say that it is an access token; an ID token is not accepted.")
        return parts.claims

    async def signed_in(self, answer: Mapping[str, Any], nonce: str) -> tuple[Claims, Claims]:
        """The claims of the ID token, and of the access token beside it (none when that is not for us to read)."""
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str):
            raise Unauthenticated("The OpenID provider sent no ID token: the scope `openid` has to be asked for.")
        parts = await self._verified(id_token, _ANSWERED_BYTES)
        self._require_id(parts, nonce)
        if not isinstance(access_token, str):
            return parts.claims, {}
        _require_hash(parts, access_token)
        return parts.claims, await self._beside(access_token, str(parts.claims["sub"]))

    async def _beside(self, access_token: str, subject: str) -> Claims:
        """It came straight from the token endpoint, so its audience may be anyone; it only tells the roles."""
        try:
            parts = await self._verified(access_token, _ANSWERED_BYTES)
            _require_access(parts)
        except Unauthenticated:  # opaque, or signed for someone else's eyes
            return {}
        return parts.claims if parts.claims["sub"] == subject else {}

    async def _verified(self, token: str, most: int) -> Unverified:
        """Cheap checks first: only what may be good costs a key, and perhaps a fetch."""
        if len(token) > most:
            raise Unauthenticated("This token is too long.")
        from headrace.auth.oidc_signature import is_signed, take_apart

        parts = take_apart(token)
        if parts.claims.get("iss") != self._provider.issuer:
            raise Unauthenticated("This token is of another issuer.")
        self._require_times(parts.claims)
        if not is_signed(parts, await self._keys(parts)):
            raise Unauthenticated("This token is not signed by the OpenID provider.")
        subject = parts.claims.get("sub")
        if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_CHARACTERS or not subject.isprintable():
            raise Unauthenticated("This token does not name its subject.")
        return parts

    async def _keys(self, parts: Unverified) -> list[Any]:
        for unknown_kid in (False, True):
            ring = self._key_ring(await self._provider.key_set(unknown_kid=unknown_kid))
            if keys := ring.find(parts.alg, parts.kid):
                return keys
        raise Unauthenticated("This token is signed with a key that the OpenID provider does not show.")

    def _key_ring(self, key_set: Mapping[str, Any]) -> KeyRing:
        from headrace.auth.oidc_signature import KeyRing

        if self._ring is None or self._ring.key_set is not key_set:
            self._ring = KeyRing(key_set)
        return self._ring

    def _require_times(self, claims: Claims) -> None:
        now = self._clock.now() / SECOND
        expires, issued, begins = (_seconds(claims.get(name)) for name in ("exp", "iat", "nbf"))
        if expires is None or issued is None or (begins is None and "nbf" in claims):
            raise Unauthenticated("This token does not say when it was made and until when it is good.")
        if now >= expires + LEEWAY_SECONDS:
            raise Unauthenticated("This token has expired: get a new one.", code="expired-token")
        if now < max(issued, begins or 0.0) - LEEWAY_SECONDS:
            raise Unauthenticated("This token is not valid yet: compare the clocks of both machines.")

    def _require_id(self, parts: Unverified, nonce: str) -> None:
        claims = parts.claims
        audiences, party, sent = _audiences(claims), claims.get("azp"), claims.get("nonce")
        if parts.typ not in _ID_TYPES or claims.get("typ", "ID") != "ID":
            raise Unauthenticated("The OpenID provider sent something else in place of an ID token.")
        if self._client_id not in audiences or party not in (None, self._client_id):
            raise Unauthenticated("The ID token was made for another client.")
        if len(audiences) > 1 and party is None:
            raise Unauthenticated("The ID token is for several clients and does not say which one asked for it.")
        if not _same(sent, nonce):
            raise Unauthenticated("The ID token belongs to another sign-in.")


def _require_access(parts: Unverified) -> None:
    """Nothing in it says that it is another kind of token, or that holding it is not enough."""
    claims = parts.claims
    if parts.typ not in _ACCESS_TYPES or claims.get("typ", "Bearer") != "Bearer":
        raise Unauthenticated("This is not an access token.")
    if any(name in claims for name in _NEVER_IN_ACCESS) or ("nonce" in claims and not _named_access(parts)):
        raise Unauthenticated("This is an ID token: send the access token.")
    if "cnf" in claims:  # RFC 7800: whoever holds it also has to prove a key, which is not checked here
        raise Unauthenticated("This token is bound to a key of its holder, which is not supported.")


def _named_access(parts: Unverified) -> bool:
    """RFC 9068, and Keycloak."""
    return parts.typ == "at+jwt" or parts.claims.get("typ") == "Bearer"


def _says_access(parts: Unverified) -> bool:
    """An ID token has the client id in `aud` too; only an access token has a scope."""
    return _named_access(parts) or "scope" in parts.claims or "scp" in parts.claims


def _audiences(claims: Claims) -> list[str]:
    named = claims.get("aud")
    return [one for one in (named if isinstance(named, list) else [named]) if isinstance(one, str)]


def _seconds(value: object) -> float | None:
    """A NumericDate from 1970 on; None for what is not one (NaN and infinity are not)."""
    return float(value) if type(value) in (int, float) and 0 <= value < 1e12 else None  # type: ignore[operator,arg-type]  # narrowed by type()


def _require_hash(parts: Unverified, access_token: str) -> None:
    """`at_hash`: the left half of a hash of the access token, by the algorithm of the signature (Core 3.1.3.6)."""
    sent = parts.claims.get("at_hash")
    if sent is None:
        return
    algorithm = {"256": "sha256", "384": "sha384"}.get(parts.alg[-3:], "sha512")  # SHA-512 with EdDSA too
    digest = hashlib.new(algorithm, access_token.encode("ascii", "replace")).digest()
    if not _same(sent, base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode("ascii")):
        raise Unauthenticated("The access token is not the one that the ID token was made with.")


def _same(sent: object, expected: str) -> bool:
    """In a time that does not tell how much of it is right. JSON may hold half a surrogate pair."""
    return isinstance(sent, str) and hmac.compare_digest(sent.encode("utf-8", "replace"), expected.encode())
