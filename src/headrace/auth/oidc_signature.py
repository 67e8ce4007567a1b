"""Whether a provider's token is signed by one of the provider's keys (RFC 7515, RFC 7517, RFC 8725).

The token never says how it is checked: its algorithm has to be one of ours and fit the key, and a header that brings a
key, points to one or asks for extensions is refused. Imports joserfc, so it is itself imported at the first token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, extract_compact, validate_compact

from headrace.errors import Unauthenticated

# Algorithm → the key's type and curve. No HMAC: a public key would be its secret. No "none".
_FITS: Mapping[str, tuple[str, str | None]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", None)),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
_TYPES: Mapping[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_REFUSED = frozenset({"crit", "b64", "jku", "jwk", "x5u", "x5c"})
_RSA_BITS = 2048  # RFC 7518, 3.3
_KEYS = 100  # looked at in one set; Keycloak shows two


class _Registry(JWSRegistry):
    """Algorithms and headers are checked below; joserfc would warn of `EdDSA` at each token."""

    max_header_length = 2_048  # with a long kid or a thumbprint it can pass joserfc's 512

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


_REGISTRY = _Registry(algorithms=_FITS, strict_check_header=False)


class Unverified(NamedTuple):
    """A token taken apart; nothing in it may be believed yet."""

    alg: str
    kid: str | None
    typ: str
    claims: Mapping[str, Any]
    signature: Any
    """joserfc's own object."""


def take_apart(token: str) -> Unverified:
    """Raises Unauthenticated when it is no JWT, or one whose header is not to be followed."""
    try:
        parts = extract_compact(token.encode("ascii"), registry=_REGISTRY)
        header: object = parts.headers()
        claims: object = json.loads(parts.payload)
    except (JoseError, ValueError, TypeError, RecursionError) as exc:
        raise Unauthenticated("This token is not a JSON Web Token that can be read.") from exc
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise Unauthenticated("This token is not a JSON Web Token that can be read.")
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "")
    if not isinstance(alg, str) or alg not in _FITS:
        raise Unauthenticated(f"This token is not signed in a way that is accepted: use one of {', '.join(_FITS)}.")
    if not _REFUSED.isdisjoint(header) or not isinstance(kid, str | None) or not isinstance(typ, str):
        raise Unauthenticated("This token has header fields that are not accepted.")
    return Unverified(alg, kid, typ.lower().removeprefix("application/"), claims, parts)


def is_signed(token: Unverified, keys: Sequence[Key]) -> bool:
    """Whether one of these keys made the signature."""
    try:
        return any(validate_compact(token.signature, key, registry=_REGISTRY) for key in keys)
    except (JoseError, ValueError, TypeError):
        return False


class KeyRing:
    """The keys of one JWK set; each is read when a token first asks for it, and remembered."""

    def __init__(self, key_set: Mapping[str, Any]) -> None:
        self.key_set = key_set
        listed = key_set.get("keys")
        self._listed = [key for key in listed[:_KEYS] if isinstance(key, dict)] if isinstance(listed, list) else []
        self._read: dict[tuple[str, str | None], list[Key]] = {}

    def find(self, alg: str, kid: str | None) -> list[Key]:
        """The keys of this id that fit the algorithm; without an id, the only key that fits, if there is just one."""
        if (alg, kid) not in self._read:
            keys = [key for key in map(_read, self._fitting(alg, kid)) if key is not None]
            if not keys or (kid is None and len(keys) > 1):
                return []
            self._read[alg, kid] = keys
        return self._read[alg, kid]

    def _fitting(self, alg: str, kid: str | None) -> list[dict[str, Any]]:
        kty, curve = _FITS[alg]
        return [
            key
            for key in self._listed
            if key.get("kty") == kty
            and (curve is None or key.get("crv") == curve)
            and (kid is None or key.get("kid") == kid)
            and key.get("use", "sig") == "sig"
            and key.get("alg", alg) == alg
            and key.get("key_ops", ["verify"]) == ["verify"]
        ]


def _read(listed: Mapping[str, Any]) -> Key | None:
    """None for what cannot be read: one odd key must not take the others with it."""
    public = {name: listed[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in listed}
    try:
        key = _TYPES[public["kty"]].import_key(public)
        weak = isinstance(key, RSAKey) and key.public_key.key_size < _RSA_BITS
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    return None if weak else key
