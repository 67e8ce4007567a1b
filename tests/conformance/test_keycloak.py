"""The realm file, the adapter and the rules for tokens against a real Keycloak, when one is given.

Optional everywhere, in CI too: Keycloak needs Java and a gigabyte of memory, and the suites run against a provider of
their own. Makes a realm with a name of its own from the file, and deletes it.
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from headrace.adapters.oidc.identity_provider import OidcProvider
from headrace.adapters.system.clock import SystemClock
from headrace.auth.oidc import Oidc, OidcOptions
from headrace.errors import Unauthenticated
from headrace.model.principal import Role
from tests.unit.auth.fakes_oidc import CALLBACK, ROLE_MAP, HeldUsers, OpenSeal, guard_of

URL, ADMIN, PASSWORD = (os.environ.get(f"HEADRACE_TEST_KEYCLOAK_{name}", "") for name in ("URL", "ADMIN", "PASSWORD"))
if not (URL and ADMIN and PASSWORD):
    pytest.skip(
        "Keycloak was not tested: set HEADRACE_TEST_KEYCLOAK_URL, _ADMIN and _PASSWORD to test against yours",
        allow_module_level=True,
    )

REALM_FILE = Path(__file__).resolve().parents[2] / "deploy/keycloak/headrace-realm.json"


class Realm:
    """A realm made from the file, with a user `ada`."""

    def __init__(self, admin: httpx2.AsyncClient) -> None:
        self.name = f"headrace-test-{secrets.token_hex(4)}"
        self.issuer = f"{URL.rstrip('/')}/realms/{self.name}"
        self.password = secrets.token_urlsafe(16)
        self._admin = admin

    async def ask(self, method: str, path: str, content: object = None) -> Any:
        answer = await self._admin.request(method, f"/admin/realms{path}", json=content)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    async def make(self) -> None:
        await self.ask("POST", "", {**json.loads(REALM_FILE.read_text()), "realm": self.name})
        credentials = [{"type": "password", "value": self.password, "temporary": False}]
        ada = {"username": "ada", "enabled": True, "email": "ada@example.com", "emailVerified": True}
        names = {"firstName": "Ada", "lastName": "Lovelace"}
        await self.ask("POST", f"/{self.name}/users", {**ada, **names, "credentials": credentials})

    async def give(self, role: str) -> None:
        (user,) = await self.ask("GET", f"/{self.name}/users?username=ada&exact=true")
        found = await self.ask("GET", f"/{self.name}/roles/{role}")
        await self.ask("POST", f"/{self.name}/users/{user['id']}/role-mappings/realm", [found])

    async def rotate(self) -> None:
        (realm,) = [one for one in await self.ask("GET", "") if one["realm"] == self.name]
        key = {"name": "newer", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider"}
        config = {"priority": ["999"], "algorithm": ["RS256"], "keySize": ["2048"]}
        await self.ask("POST", f"/{self.name}/components", {**key, "parentId": realm["id"], "config": config})

    async def sign_in(self, url: str) -> dict[str, str]:
        """What a person does in the browser; the query that it comes back with."""
        async with httpx2.AsyncClient() as browser:
            page = await browser.get(url)
            action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
            assert action, page.text[:2_000]
            form = {"username": "ada", "password": self.password, "credentialId": ""}
            answer = await browser.post(html.unescape(action[1]), data=form)
        assert answer.headers["location"].startswith(CALLBACK)
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@pytest.fixture
async def realm() -> AsyncIterator[Realm]:
    async with httpx2.AsyncClient(base_url=URL, timeout=60) as admin:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": ADMIN, "password": PASSWORD}
        answer = await admin.post("/realms/master/protocol/openid-connect/token", data=form)
        assert answer.is_success, f"no token for {ADMIN}: {answer.status_code}"
        admin.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        made = Realm(admin)
        await made.make()
        try:
            yield made
        finally:
            await made.ask("DELETE", f"/{made.name}")


async def test_a_person_signs_in_and_their_access_token_is_good(realm: Realm) -> None:
    await realm.give("headrace-manager")
    clock, accounts, answers = SystemClock(), HeldUsers(), []
    provider = OidcProvider(realm.issuer, "headrace", "", "openid profile email", clock)
    redeem = provider.redeem

    async def kept(**code: str) -> Any:
        answers.append(await redeem(**code))
        return answers[-1]

    async def begin_session(user: Any, address: str, how: str) -> Any:
        return f"session of {user.username}"

    provider.redeem = kept  # type: ignore[method-assign,assignment]
    options = OidcOptions("headrace", "", "realm_access.roles", ROLE_MAP, CALLBACK)
    oidc = Oidc(provider, accounts, clock, begin_session, OpenSeal(), options, guard_of(clock))  # type: ignore[arg-type]

    async def signed_in() -> Any:
        url, cookie = await oidc.begin()
        back = await realm.sign_in(url)
        return await oidc.finish(back["code"], back["state"], cookie, "192.0.2.7", issuer=back.get("iss"))

    assert await signed_in() == "session of ada"
    assert (accounts.only().role, accounts.only().email) == (Role.MANAGER, "ada@example.com")

    account = await oidc.account_of(answers[0]["access_token"])
    assert account.user.id == accounts.only().id
    for other in ("id_token", "refresh_token"):
        with pytest.raises(Unauthenticated):
            await oidc.account_of(answers[0][other])

    await realm.rotate()
    await realm.give("headrace-admin")
    await asyncio.sleep(1)  # the new token has to be of a later second
    assert await signed_in() == "session of ada"
    assert accounts.only().role is Role.ADMIN
    await provider.close()
