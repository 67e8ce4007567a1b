"""Keys and tokens as Keycloak makes them: what the OpenID provider of the tests signs, right or wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

LIFE_SECONDS = 300
_KINDS: Mapping[str, Callable[[], Key]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), lambda: RSAKey.generate_key(2048)),
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "ES512": lambda: ECKey.generate_key("P-521"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
}

RSA_ENCRYPTING = RSAKey.generate_key(2048)


@dataclass(frozen=True)
class Person:
    """Who is signed in at the provider."""

    sub: str = "7f1c1f0e-6a55-4f0e-8d0f-0d3c1f7f8a10"
    username: str = "ada"
    email: str = "ada@example.com"
    roles: Sequence[str] = ()
    email_verified: bool = True


@dataclass(frozen=True)
class SigningKey:
    """A key with its id and algorithm, as it stands in the JWK set."""

    kid: str
    alg: str
    key: Key

    def public(self) -> dict[str, Any]:
        return {**self.key.as_dict(private=False), "kid": self.kid, "alg": self.alg, "use": "sig"}


@dataclass
class OpenIdTokens:
    """`keys[0]` signs."""

    client_id: str = "headrace"
    client_secret: str = ""
    audience: Sequence[str] = ("headrace", "account")
    alg: str = "RS256"
    now: Callable[[], float] = time.time
    person: Person = field(default_factory=Person)
    issuer: str = ""

    def __post_init__(self) -> None:
        self.keys: list[SigningKey] = []
        self.rotate()

    def rotate(self, *, keep: bool = True, alg: str | None = None) -> SigningKey:
        """Sign with a new key from now on; the old ones stay in the set unless `keep` is False."""
        alg = alg or self.alg
        made = SigningKey(secrets.token_urlsafe(16), alg, _KINDS[alg]())
        self.keys = [made, *(self.keys if keep else [])]
        return made

    def token(
        self,
        sub: str | None = None,
        roles: Sequence[str] | None = None,
        *,
        header: Mapping[str, Any] | None = None,
        key: SigningKey | None = None,
        person: Person | None = None,
        **overrides: Any,
    ) -> str:
        """An access token. `overrides` are claims (None takes one out), `header` are fields of the header."""
        person = person or self.person
        claims = {
            **self._common(person),
            "sub": person.sub if sub is None else sub,
            "typ": "Bearer",
            "aud": list(self.audience),
            "realm_access": {"roles": ["default-roles-headrace", *(person.roles if roles is None else roles)]},
            "scope": "openid profile email",
            **overrides,
        }
        return self.sign(claims, header=header, key=key)

    def id_token(
        self, nonce: str | None = None, access_token: str | None = None, person: Person | None = None, **overrides: Any
    ) -> str:
        """An ID token, as the token endpoint gives it."""
        claims = {**self._common(person or self.person), "typ": "ID", "aud": self.client_id, "nonce": nonce}
        if access_token is not None and self.keys[0].alg.endswith("256"):
            digest = hashlib.sha256(access_token.encode()).digest()
            claims["at_hash"] = base64_of(digest[:16])
        return self.sign({**claims, **overrides})

    def sign(
        self, claims: Mapping[str, Any], *, header: Mapping[str, Any] | None = None, key: SigningKey | None = None
    ) -> str:
        """Any claims and fields of the header; those that are None are left out."""
        key = key or self.keys[0]
        fields = {"alg": key.alg, "typ": "JWT", "kid": key.kid, **(header or {})}
        return signed(_without_none(fields), _without_none(claims), key)

    def key_set(self) -> dict[str, Any]:
        """What the provider shows; Keycloak has a key for encryption beside those that sign."""
        encrypting = {**RSA_ENCRYPTING.as_dict(private=False), "kid": "enc", "alg": "RSA-OAEP", "use": "enc"}
        return {"keys": [encrypting, *(key.public() for key in self.keys)]}

    def _common(self, person: Person) -> dict[str, Any]:
        now = int(self.now())
        return {
            "exp": now + LIFE_SECONDS,
            "iat": now,
            "jti": secrets.token_hex(16),
            "iss": self.issuer,
            "sub": person.sub,
            "azp": self.client_id,
            "sid": "b7c0a9d2",
            "acr": "1",
            "email_verified": person.email_verified,
            "preferred_username": person.username,
            "given_name": person.username.title(),
            "family_name": "Lovelace",
            "email": person.email,
        }


def signed(header: Mapping[str, Any], claims: Mapping[str, Any], key: SigningKey) -> str:
    """By the algorithm of the key whatever the header says; joserfc's own encoder would not sign what is wrong."""
    text = f"{base64_of(json.dumps(header).encode())}.{base64_of(json.dumps(claims).encode())}"
    algorithm = JWSRegistry.algorithms[key.alg]
    return f"{text}.{base64_of(algorithm.sign(text.encode(), key.key))}"


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def base64_of(value: bytes) -> str:
    """As JSON Web Tokens write bytes."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
