"""Tokens and sign-ins of a real provider over HTTP, with the users in a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from headrace.adapters.oidc.identity_provider import OidcProvider
from headrace.adapters.sql.accounts import SqlAccounts
from headrace.adapters.sql.audit import SqlAuditOutbox
from headrace.adapters.sql.database import ControlDatabase
from headrace.auth.oidc import Oidc, OidcOptions
from headrace.auth.sealing import Sealer
from headrace.errors import Unauthenticated, Unavailable
from headrace.model.principal import Role
from tests.support.openid_provider import OpenIdProvider
from tests.support.openid_tokens import Person, SigningKey
from tests.unit.auth.fakes_oidc import ADDRESS, CALLBACK, ROLE_MAP, guard_of
from tests.unit.control import HandClock


class Site:
    """An Oidc with everything real around it but the clock and the sessions."""

    def __init__(self, remote: OpenIdProvider, database: ControlDatabase) -> None:
        self.clock = HandClock()
        self.remote = remote
        remote.now = lambda: self.clock.now() / 1_000_000
        self.accounts = SqlAccounts(database)
        self.audit = SqlAuditOutbox(database)
        self.provider = OidcProvider(remote.issuer, remote.client_id, remote.client_secret, "openid", self.clock)
        options = OidcOptions(remote.client_id, "", "realm_access.roles", ROLE_MAP, CALLBACK)
        self.oidc = Oidc(
            self.provider, self.accounts, self.clock, Sealer("a secret of the tests"), options, guard_of(self.clock)
        )

    async def actions(self) -> list[str]:
        return [record.action for record in await self.audit.pending(100)]


@pytest.fixture
def remote() -> Iterator[OpenIdProvider]:
    with OpenIdProvider(alg="ES256") as running:
        yield running


@pytest.fixture
async def site(remote: OpenIdProvider, tmp_path: Path) -> AsyncIterator[Site]:
    database = await ControlDatabase.open(f"sqlite:///{tmp_path}/control.db")
    made = Site(remote, database)
    yield made
    await made.provider.close()
    await database.close()


async def browsed(url: str) -> dict[str, str]:
    """The query that the browser comes back with."""
    async with httpx2.AsyncClient() as browser:
        answer = await browser.get(url)
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


async def test_a_person_signs_in_and_the_same_user_comes_with_a_token(site: Site) -> None:
    site.remote.person = Person(roles=["headrace-manager"])
    url, cookie = await site.oidc.begin()
    back = await browsed(url)
    arrived = await site.oidc.finish(back["code"], back["state"], cookie, ADDRESS, issuer=back["iss"])
    assert (arrived.user.username, arrived.next) == ("ada", None)
    account = await site.oidc.account_of(site.remote.token())
    assert (account.user.role, account.user.email) == (Role.MANAGER, "ada@example.com")
    assert await site.accounts.find_login("ada") == account.user
    assert await site.actions() == ["user.created"]


async def test_a_confidential_client_signs_people_in(site: Site, tmp_path: Path) -> None:
    with OpenIdProvider(alg="ES256", client_secret="s:cret") as remote:
        database = await ControlDatabase.open(f"sqlite:///{tmp_path}/other.db")
        other = Site(remote, database)
        url, cookie = await other.oidc.begin()
        back = await browsed(url)
        assert await other.oidc.finish(back["code"], back["state"], cookie, ADDRESS)
        await other.provider.close()
        await database.close()


async def test_a_stolen_code_is_worth_nothing_in_another_browser(site: Site) -> None:
    """PKCE: the verifier is in the cookie of the browser that began."""
    url, _ = await site.oidc.begin()
    stolen = (await browsed(url))["code"]
    url, cookie = await site.oidc.begin()
    state = (await browsed(url))["state"]
    with pytest.raises(Unauthenticated):
        await site.oidc.finish(stolen, state, cookie, ADDRESS)


async def test_a_stolen_code_is_worth_nothing_even_without_pkce_at_the_provider(site: Site) -> None:
    site.remote.checks_pkce = False
    url, _ = await site.oidc.begin()
    stolen = (await browsed(url))["code"]
    url, cookie = await site.oidc.begin()
    state = (await browsed(url))["state"]
    with pytest.raises(Unauthenticated, match="another sign-in"):
        await site.oidc.finish(stolen, state, cookie, ADDRESS)


async def test_the_way_back_works_once(site: Site) -> None:
    url, cookie = await site.oidc.begin()
    back = await browsed(url)
    await site.oidc.finish(back["code"], back["state"], cookie, ADDRESS)
    with pytest.raises(Unauthenticated):
        await site.oidc.finish(back["code"], back["state"], cookie, ADDRESS)


async def test_the_client_secret_being_wrong_is_unavailable(site: Site) -> None:
    url, cookie = await site.oidc.begin()
    back = await browsed(url)
    site.remote.faults["token"] = "refuse"
    with pytest.raises(Unavailable):
        await site.oidc.finish(back["code"], back["state"], cookie, ADDRESS)


async def test_first_tokens_at_once_make_one_user_in_the_database(site: Site) -> None:
    token = site.remote.token(roles=["headrace-admin"])
    accounts = await asyncio.gather(*(site.oidc.account_of(token) for _ in range(20)))
    assert len({account.user.id for account in accounts}) == 1
    assert len(await site.accounts.list_users(None, 10)) == 1
    assert await site.actions() == ["user.created"]


async def test_strangers_of_one_name_at_once_are_all_let_in(site: Site) -> None:
    tokens = [site.remote.token(sub=f"s-{number}") for number in range(12)]
    accounts = await asyncio.gather(*(site.oidc.account_of(token) for token in tokens))
    assert len({account.user.id for account in accounts}) == 12
    assert len({account.user.username for account in accounts}) == 12
    assert [account.user.email for account in accounts].count("ada@example.com") == 1


async def test_a_changed_role_is_in_the_database_with_its_record(site: Site) -> None:
    await site.oidc.account_of(site.remote.token(roles=[]))
    old = site.remote.token(roles=[])
    site.clock.seconds += 5
    assert (await site.oidc.account_of(site.remote.token(roles=["headrace-admin"]))).user.role is Role.ADMIN
    assert (await site.oidc.account_of(old)).user.role is Role.ADMIN
    assert await site.actions() == ["user.created", "user.updated"]


async def test_a_subject_is_compared_to_the_letter(site: Site) -> None:
    lower = await site.oidc.account_of(site.remote.token(sub="abc"))
    upper = await site.oidc.account_of(site.remote.token(sub="ABC"))
    assert lower.user.id != upper.user.id


async def test_a_flood_of_unknown_keys_is_refused_with_one_fetch_a_minute(site: Site) -> None:
    await site.oidc.account_of(site.remote.token())
    key = site.remote.keys[0]
    unknown = [site.remote.token(key=SigningKey(f"unknown-{number}", key.alg, key.key)) for number in range(200)]
    for token in unknown:
        with pytest.raises(Unauthenticated):
            await site.oidc.account_of(token)
    assert site.remote.fetches["jwks"] == 1 + 1
    assert await site.oidc.account_of(site.remote.token())


async def test_after_a_rotation_the_new_key_is_good_at_once_and_the_old_one_stays(site: Site) -> None:
    old = site.remote.token()
    await site.oidc.account_of(old)
    site.remote.rotate()
    assert await site.oidc.account_of(site.remote.token())
    assert await site.oidc.account_of(old)
    assert site.remote.fetches["jwks"] == 1 + 1


async def test_with_the_provider_gone_known_keys_stay_good_and_others_are_unavailable(site: Site) -> None:
    await site.oidc.account_of(site.remote.token())
    site.remote.stop()
    assert await site.oidc.account_of(site.remote.token())
    site.remote.rotate()
    with pytest.raises(Unavailable):
        await site.oidc.account_of(site.remote.token())


async def test_with_the_provider_gone_from_the_start_nothing_can_be_known(site: Site) -> None:
    site.remote.stop()
    with pytest.raises(Unavailable):
        await site.oidc.account_of(site.remote.token())
    with pytest.raises(Unavailable):
        await site.oidc.begin()
