"""An OpenID provider (Keycloak, or any other that follows OpenID Connect Core and Discovery)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class IdentityProvider(Protocol):
    """Raises Unavailable when the provider cannot be reached; its answers are bounded in size and in time."""

    @property
    def issuer(self) -> str:
        """As it stands in `iss`."""

    async def key_set(self, *, unknown_kid: bool) -> Mapping[str, Any]:
        """The JWK set, remembered; `unknown_kid` asks for a newer one, at most one fetch a minute however often."""

    async def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        """Where to send the browser (code flow with PKCE, S256)."""

    async def redeem(self, *, code: str, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        """The token answer for a code. Raises Unauthenticated when the provider refuses it."""
