"""A real OpenID provider over HTTP on a free port, with tokens as Keycloak makes them, that rotates keys and fails.

    with OpenIdProvider() as provider:
        bearer = provider.token(sub="u-1", roles=["headrace-admin"])
        server.start(env=provider.settings)

It signs in whoever `person` is without asking, takes each code once, and checks PKCE and the client.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

from tests.support.openid_tokens import LIFE_SECONDS, OpenIdTokens, Person, base64_of
from tests.support.server import free_port

_REALM = "/realms/headrace"
_PROTOCOL = f"{_REALM}/protocol/openid-connect"
_PATHS = {
    f"{_REALM}/.well-known/openid-configuration": "discovery",
    f"{_PROTOCOL}/certs": "jwks",
    f"{_PROTOCOL}/auth": "authorize",
    f"{_PROTOCOL}/token": "token",
}
_SLOW_SECONDS = 30.0
_DRIP_SECONDS = 0.05

Answer = tuple[int, Mapping[str, str], bytes]


@dataclass
class _Code:
    """A code that was given out; `query` is what the browser came with."""

    person: Person
    query: Mapping[str, str]
    used: bool = False


@dataclass
class OpenIdProvider(OpenIdTokens):
    """`faults` by the name of a document (discovery, jwks, authorize, token): `down`, `slow`, `drip`, `huge`,
    `redirect`, `nonsense`, `list`, `refuse` (the client), and for discovery `wrong-issuer`."""

    checks_pkce: bool = True
    id_claims: dict[str, Any] = field(default_factory=dict)
    """Put into the ID tokens of the token endpoint; None takes a claim out."""
    access_claims: dict[str, Any] = field(default_factory=dict)
    """The same of its access tokens."""
    faults: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=dict)
    """Put into the discovery document."""
    fetches: Counter[str] = field(default_factory=Counter)
    """Requests by the name of the document."""

    def __post_init__(self) -> None:
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}{_REALM}"
        self._codes: dict[str, _Code] = {}
        self._server: ThreadingHTTPServer | None = None
        self._released = threading.Event()
        self._lock = threading.Lock()
        super().__post_init__()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def settings(self) -> dict[str, str]:
        """What a Headrace needs to know of it."""
        return {
            "HEADRACE_OIDC_ISSUER": self.issuer,
            "HEADRACE_OIDC_CLIENT_ID": self.client_id,
            "HEADRACE_OIDC_CLIENT_SECRET": self.client_secret,
        }

    def start(self) -> Self:
        """Also again after `stop`, at the same address."""
        self._released.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def stop(self) -> None:
        """Nothing answers at the address any more."""
        self._released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, method: str, target: str, body: str, authorization: str | None) -> Answer:
        """One request."""
        parts = urlsplit(target)
        name = _PATHS.get(parts.path, "")
        with self._lock:
            self.fetches[name] += 1
        if (faulty := self._faulty(name)) is not None:
            return faulty
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        form = {key: values[0] for key, values in parse_qs(body).items()}
        if name == "discovery":
            return _json(200, self._configuration())
        if name == "jwks":
            return _json(200, self.key_set())
        if name == "authorize":
            return self._authorize(query)
        if name == "token" and method == "POST":
            return self._redeem(form, authorization)
        return _json(404, {"error": "not found"})

    def _faulty(self, name: str) -> Answer | None:
        fault = self.faults.get(name)
        if fault == "slow":
            self._released.wait(_SLOW_SECONDS)
        answers: dict[str, Answer] = {
            "down": (503, {}, b"maintenance"),
            "huge": (200, {"Content-Type": "application/json"}, b'{"keys":[],"x":"' + b"x" * (2 << 20) + b'"}'),
            "redirect": (302, {"Location": f"{self.issuer}/.well-known/openid-configuration"}, b""),
            "nonsense": (200, {}, b"<html>"),
            "list": (200, {}, b"[1]"),
            "refuse": _json(401, {"error": "invalid_client"}),
        }
        return answers.get(fault or "")

    def parts_of(self, target: str, content: bytes) -> Iterator[bytes]:
        """All at once, or a byte every now and then."""
        if self.faults.get(_PATHS.get(urlsplit(target).path, "")) != "drip":
            yield content
            return
        for at in range(len(content)):
            self._released.wait(_DRIP_SECONDS)
            yield content[at : at + 1]

    def _configuration(self) -> dict[str, Any]:
        base = self.issuer.removesuffix(_REALM)
        wrong = self.faults.get("discovery") == "wrong-issuer"
        return {
            "issuer": self.issuer + "/" if wrong else self.issuer,
            "authorization_endpoint": f"{base}{_PROTOCOL}/auth",
            "token_endpoint": f"{base}{_PROTOCOL}/token",
            "jwks_uri": f"{base}{_PROTOCOL}/certs",
            "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": True,
            **self.configuration,
        }

    def _authorize(self, query: Mapping[str, str]) -> Answer:
        needed = ("redirect_uri", "state", "nonce", "code_challenge")
        if query.get("client_id") != self.client_id or any(name not in query for name in needed):
            return _json(400, {"error": "invalid_request"})
        if query.get("code_challenge_method") != "S256" or query.get("response_type") != "code":
            return _json(400, {"error": "invalid_request"})
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(self.person, query)
        back = urlencode({"state": query["state"], "session_state": "b7c0a9d2", "iss": self.issuer, "code": code})
        return 302, {"Location": f"{query['redirect_uri']}?{back}"}, b""

    def _redeem(self, form: Mapping[str, str], authorization: str | None) -> Answer:
        if not self._is_client(form, authorization):
            return _json(401, {"error": "invalid_client", "error_description": "Invalid client credentials"})
        with self._lock:
            code = self._codes.get(form.get("code", ""))
            fresh = code is not None and not code.used
            if code is not None:
                code.used = True
        if code is None or not fresh or not self._fits(code.query, form):
            return _json(400, {"error": "invalid_grant", "error_description": "Code not valid"})
        access_token = self.token(person=code.person, **self.access_claims)
        claims = {"nonce": code.query["nonce"], **self.id_claims}
        id_token = self.id_token(access_token=access_token, person=code.person, **claims)
        return _json(
            200,
            {"access_token": access_token, "id_token": id_token, "token_type": "Bearer", "expires_in": LIFE_SECONDS},
        )

    def _is_client(self, form: Mapping[str, str], authorization: str | None) -> bool:
        if not self.client_secret:
            return authorization is None and form.get("client_id") == self.client_id
        scheme, _, packed = (authorization or "").partition(" ")
        if scheme != "Basic" or "client_secret" in form:
            return False
        name, _, secret = base64.b64decode(packed).decode().partition(":")
        return (unquote_plus(name), unquote_plus(secret)) == (self.client_id, self.client_secret)

    def _fits(self, query: Mapping[str, str], form: Mapping[str, str]) -> bool:
        challenge = base64_of(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        proved = not self.checks_pkce or challenge == query["code_challenge"]
        return (
            proved
            and form.get("redirect_uri") == query["redirect_uri"]
            and form.get("grant_type") == "authorization_code"
        )


def _handler(provider: OpenIdProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", "")

        def do_POST(self) -> None:
            self._answer("POST", self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())

        def _answer(self, method: str, body: str) -> None:
            status, headers, content = provider.answer(method, self.path, body, self.headers.get("Authorization"))
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for part in provider.parts_of(self.path, content):
                    self.wfile.write(part)
            except OSError:  # the client has gone: it had waited long enough, or read enough
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _json(status: int, content: Mapping[str, Any]) -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(content).encode()
