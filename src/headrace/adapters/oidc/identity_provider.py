"""An OpenID provider over HTTP (OpenID Connect Discovery 1.0, RFC 6749, RFC 7517).

What it says is bounded in size and in time, and no redirect is followed. Imports httpx2 at the first request.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode, urlsplit

from headrace.adapters.oidc._remembered import Document, Remembered
from headrace.errors import Unauthenticated, Unavailable
from headrace.kit.breaker import Breaker
from headrace.ports.clock import Clock

if TYPE_CHECKING:
    import httpx2

_ANSWER_BYTES = 1024 * 1024
_SECONDS = 5.0
_DISCOVERY_SECONDS = 3_600.0
_KEYS_SECONDS = 600.0
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_OURS = ("invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope")


class OidcProvider:
    """Without `client_secret` we are a public client, whom PKCE alone protects."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        scopes: str,
        clock: Clock,
        *,
        timeout_seconds: float = _SECONDS,
        breaker: Breaker | None = None,
    ) -> None:
        """`scopes` are separated by spaces. The breaker counts what is no usable answer; a refusal is one."""
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._timeout_seconds = timeout_seconds
        self._breaker = breaker
        self._client: httpx2.AsyncClient | None = None
        self._discovery = Remembered(self._discover, clock, _DISCOVERY_SECONDS)
        self._keys = Remembered(self._fetch_keys, clock, _KEYS_SECONDS)

    @property
    def issuer(self) -> str:
        return self._issuer

    async def key_set(self, *, unknown_kid: bool) -> Mapping[str, Any]:
        return await (self._keys.newer() if unknown_kid else self._keys.get())

    async def authorization_url(self, *, redirect_uri: str, state: str, nonce: str, challenge: str) -> str:
        endpoint = str((await self._discovery.get())["authorization_endpoint"])
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": redirect_uri,
                "scope": self._scopes,
                "state": state,
                "nonce": nonce,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
        )
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{query}"

    async def redeem(self, *, code: str, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        endpoint = str((await self._discovery.get())["token_endpoint"])
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        status, answer = await self._ask("POST", endpoint, form=form)
        if status == 200:
            return answer
        error = answer.get("error")
        if status in (400, 401) and error not in _OURS:
            raise Unauthenticated("The OpenID provider does not take this code (any more): begin the sign-in again.")
        told = error if error in _OURS else f"status {status}"
        raise Unavailable(f"The OpenID provider refuses us ({told}): check the client id and secret in the settings.")

    async def close(self) -> None:
        """Let go of connections and of what is under way."""
        await self._keys.close()
        await self._discovery.close()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _discover(self) -> Document:
        status, found = await self._ask("GET", f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if status != 200:
            raise Unavailable(f"The OpenID provider has no configuration at its issuer (status {status}).")
        if found.get("issuer") != self._issuer:  # Discovery 4.3: else it could speak for another
            raise Unavailable("The OpenID provider calls itself by another issuer than HEADRACE_OIDC_ISSUER says.")
        for name in _ENDPOINTS:
            self._check_address(name, found.get(name))
        return found

    def _check_address(self, name: str, address: object) -> None:
        schemes = ("https",) if self._issuer.startswith("https:") else ("https", "http")
        try:
            parts = urlsplit(address) if isinstance(address, str) else None
        except ValueError:
            parts = None
        if parts is None or parts.scheme not in schemes or not parts.hostname:
            raise Unavailable(f"The configuration of the OpenID provider has no usable {name}.")

    async def _fetch_keys(self) -> Document:
        status, found = await self._ask("GET", str((await self._discovery.get())["jwks_uri"]))
        if status != 200 or not isinstance(found.get("keys"), list):
            raise Unavailable(f"The OpenID provider shows no keys (status {status}).")
        return found

    async def _ask(self, method: str, address: str, *, form: Mapping[str, str] | None = None) -> tuple[int, Document]:
        """The status and the JSON object of the answer ({} for none). Raises Unavailable."""
        with self._breaker.watch() if self._breaker else nullcontext():
            return await self._ask_watched(method, address, form)

    async def _ask_watched(
        self, method: str, address: str, form: Mapping[str, str] | None
    ) -> tuple[int, Document]:
        import httpx2

        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(method, address, form)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as exc:
            raise Unavailable("The OpenID provider cannot be reached: try again soon.") from exc

    async def _exchange(self, method: str, address: str, form: Mapping[str, str] | None) -> tuple[int, Document]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}  # what is packed may unpack to anything
        if form is not None:
            form, headers = self._signed(form, headers)
        async with self._connected().stream(method, address, data=form, headers=headers) as answer:
            body = bytearray()
            async for part in answer.aiter_raw():
                body += part
                if len(body) > _ANSWER_BYTES:
                    raise Unavailable("The OpenID provider sent more than 1 MiB.")
            return answer.status_code, _json_object(bytes(body), needed=answer.status_code == 200)

    def _signed(self, form: Mapping[str, str], headers: dict[str, str]) -> tuple[Mapping[str, str], dict[str, str]]:
        """As this client (RFC 6749, 2.3.1)."""
        if not self._client_secret:
            return {**form, "client_id": self._client_id}, headers
        pair = f"{quote_plus(self._client_id)}:{quote_plus(self._client_secret)}".encode()
        return form, {**headers, "Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}

    def _connected(self) -> httpx2.AsyncClient:
        if self._client is None:
            import httpx2

            self._client = httpx2.AsyncClient(timeout=self._timeout_seconds, follow_redirects=False)
        return self._client


def _json_object(body: bytes, *, needed: bool) -> Document:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as exc:
        if needed:
            raise Unavailable("The OpenID provider sent something else than JSON.") from exc
        return {}
    if not isinstance(found, dict):
        if needed:
            raise Unavailable("The OpenID provider sent something else than a JSON object.")
        return {}
    return found
