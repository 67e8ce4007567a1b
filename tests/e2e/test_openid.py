"""Users of an OpenID provider over real HTTP: their tokens as credentials, and signing in with a browser's cookies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from tests.e2e.conftest import assert_problem
from tests.support.openid_provider import OpenIdProvider
from tests.support.server import Server
from tests.support.waiting import becomes

BITES = 6.0  # seconds: a change of an account shows within 5


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as running:
        yield running


@pytest.fixture(scope="module")
def house(provider: OpenIdProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that trusts the provider."""
    server = Server(tmp_path_factory.mktemp("openid") / "data", env=provider.settings)
    try:
        yield server.start()
    finally:
        server.close()


def browse(client: httpx2.Client) -> httpx2.Response:
    """From our door to the provider, which lets its person in, and back to our callback's address."""
    begun = client.get("/v1/auth/oidc/login")
    assert begun.status_code == 302, begun.text
    assert "code_challenge_method=S256" in begun.headers["location"]
    cookie = begun.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    return httpx2.get(begun.headers["location"])


def back(client: httpx2.Client, sent: httpx2.Response) -> httpx2.Response:
    return client.get("/v1/auth/oidc/callback", params=parse_qs(urlsplit(sent.headers["location"]).query))


def test_an_access_token_of_the_provider_is_its_user_with_the_role_it_says(
    house: Server, provider: OpenIdProvider
) -> None:
    with house.client(key=provider.token(sub="boss", preferred_username="boss", roles=["headrace-manager"])) as client:
        me = client.get("/v1/users/me").json()
        assert (me["username"], me["role"], me["verified"]) == ("boss", "manager", True)
        assert client.post("/v1/buckets", json={"name": "theirs"}).status_code == 201


def test_a_new_user_of_the_provider_may_see_nothing(house: Server, provider: OpenIdProvider) -> None:
    with house.client(key=provider.token(sub="newcomer", preferred_username="newcomer")) as client:
        assert client.get("/v1/buckets").json() == {"buckets": []}
        assert_problem(client.get("/v1/buckets/default/events"), 404)


def test_keys_may_be_rotated_at_the_provider(house: Server, provider: OpenIdProvider) -> None:
    with house.client(key=provider.token(sub="before", preferred_username="before")) as client:
        assert client.get("/v1/users/me").status_code == 200
    provider.rotate()
    with house.client(key=provider.token(sub="after", preferred_username="after")) as client:
        assert client.get("/v1/users/me").status_code == 200


def test_an_administrator_here_shuts_out_a_user_of_the_provider(house: Server, provider: OpenIdProvider) -> None:
    token = provider.token(sub="gone", preferred_username="gone")
    with house.client(key=token) as client, house.client() as admin:
        user = client.get("/v1/users/me").json()
        assert admin.patch(f"/v1/users/{user['id']}", json={"disabled": True}).status_code == 200
        becomes(lambda: client.get("/v1/users/me").status_code == 401, within=BITES)


@pytest.mark.parametrize("wrong", [{"aud": "other"}, {"exp": 1}, {"iss": "https://elsewhere.example"}, {"typ": "ID"}])
def test_a_token_that_is_not_for_us_is_refused(
    house: Server, provider: OpenIdProvider, wrong: dict[str, object]
) -> None:
    with house.client(key=provider.token(sub="who", preferred_username="who", **wrong)) as client:
        assert_problem(client.get("/v1/users/me"), 401)


def test_signing_in_with_a_browser_gives_a_session_that_is_refreshed_and_ended_like_any_other(house: Server) -> None:
    with house.client(key="") as browser:
        answer = back(browser, browse(browser))
        assert answer.status_code == 200, answer.text
        assert answer.headers["cache-control"] == "no-store"
        pair = answer.json()
        with house.client(key=pair["access_token"]) as client:
            assert client.get("/v1/users/me").status_code == 200
        renewed = browser.post("/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        assert renewed.status_code == 200
        out = browser.post("/v1/auth/logout", headers={"authorization": f"Bearer {renewed.json()['access_token']}"})
        assert out.status_code == 204


def test_a_sign_in_that_another_browser_began_is_refused(house: Server) -> None:
    with house.client(key="") as thief, house.client(key="") as victim:
        assert_problem(back(victim, browse(thief)), 401)


def test_a_code_is_taken_once(house: Server) -> None:
    with house.client(key="") as browser:
        sent = browse(browser)
        cookies = dict(browser.cookies)
        assert back(browser, sent).status_code == 200
        browser.cookies.update(cookies)
        assert_problem(back(browser, sent), 401)


def test_what_the_provider_refused_is_told(house: Server) -> None:
    with house.client(key="") as browser:
        answer = browser.get("/v1/auth/oidc/callback", params={"error": "access_denied", "state": "x"})
        assert_problem(answer, 401, "oidc-refused")


def test_while_the_provider_is_away_its_known_keys_still_count_and_signing_in_waits(tmp_path: Path) -> None:
    with OpenIdProvider() as provider:
        server = Server(tmp_path / "data", env=provider.settings).start()
        try:
            first, second = (provider.token(sub=name, preferred_username=name) for name in ("first", "second"))
            with server.client(key=first) as client:
                assert client.get("/v1/users/me").status_code == 200
            provider.faults.update(jwks="down", discovery="down", token="down")
            with server.client(key=second) as client:
                assert client.get("/v1/users/me").status_code == 200
            provider.rotate()
            with server.client(key=provider.token(sub="third", preferred_username="third")) as client:
                assert_problem(client.get("/v1/users/me"), 503)
        finally:
            server.close()
