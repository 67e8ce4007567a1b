"""Ed25519 signatures of our own tokens in JWS compact form (RFC 7515, RFC 8032, RFC 8037).

Imports joserfc and cryptography (60 to 140 ms, 11 MiB), so it is itself imported when the first key is made or read.
"""

from __future__ import annotations

import json

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import OKPKey

ALGORITHM = "EdDSA"
"""RFC 9864 prefers the name `Ed25519`, which most libraries that could check our tokens do not know yet. The curve is
pinned all the same, by our keys; no other name is accepted."""

_CURVE = "Ed25519"


class _OneAlgorithm(jws.JWSRegistry):
    """Knows EdDSA and nothing else. joserfc's own registry would warn of RFC 9864 at each token."""

    max_payload_length = 8192

    def get_alg(self, name: str) -> JWSAlgModel:
        if name != ALGORITHM:
            raise ValueError("not an algorithm of ours")
        return self.algorithms[ALGORITHM]


_REGISTRY = _OneAlgorithm(algorithms=[ALGORITHM])


class TokenKey:
    """A key pair. The private half leaves it only through `private_jwk`, which is to be sealed."""

    def __init__(self, kid: str, key: OKPKey) -> None:
        self.kid = kid
        self._key = key

    @classmethod
    def new(cls, kid: str) -> TokenKey:
        return cls(kid, OKPKey.generate_key("Ed25519"))

    @classmethod
    def read(cls, kid: str, private_jwk: bytes) -> TokenKey:
        """Raises ValueError for what is no private Ed25519 key."""
        try:
            key = OKPKey.import_key(json.loads(private_jwk))
            if key.is_private and key.curve_name == _CURVE:
                return cls(kid, key)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            pass  # what was wrong may quote the key
        raise ValueError("not a private Ed25519 key")

    def private_jwk(self) -> bytes:
        """A JSON Web Key (RFC 7517) with the private half in it."""
        return json.dumps(self._key.as_dict(private=True)).encode()

    def public_jwk(self) -> dict[str, str]:
        """What `/.well-known/jwks.json` shows."""
        public = self._key.as_dict(private=False)
        x = public["x"]
        return {"kty": "OKP", "crv": _CURVE, "x": str(x), "kid": self.kid, "use": "sig", "alg": ALGORITHM}

    def sign(self, typ: str, payload: bytes) -> str:
        header = {"alg": ALGORITHM, "typ": typ, "kid": self.kid}
        return jws.serialize_compact(header, payload, self._key, registry=_REGISTRY)

    def opened(self, text: str) -> bytes | None:
        """The payload; None when it was not signed with this key."""
        try:
            return jws.deserialize_compact(text, self._key, registry=_REGISTRY).payload
        except (JoseError, ValueError, TypeError):
            return None
